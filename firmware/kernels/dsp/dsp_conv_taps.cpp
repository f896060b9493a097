#include "mcu/kernels/dsp_conv_taps.h"

#include "tile.h"

namespace mcu::kernels {
namespace {

constexpr int32_t kPartWords = sizeof(DspPart) / sizeof(int32_t);

inline const DspPart& part_at(const int32_t* packed) {
    return *reinterpret_cast<const DspPart*>(packed);
}
inline const int32_t* weights_of(const DspPart& part) {
    return reinterpret_cast<const int32_t*>(&part + 1);
}

inline bool is_within(int32_t value, int32_t size) {
    return static_cast<uint32_t>(value) < static_cast<uint32_t>(size);
}

// The window at `at` of the image, widened into `slot`; `window` is memory for its bytes.
__attribute__((noinline)) void widen_window(const DspConvTapsParams& params, const DspPart& part,
                                            const DspTap* tap, const int8_t* image, Pair at, int8_t* window,
                                            dsp::Slot slot) {
    const ImageSize& size = params.input;
    const int8_t* const begin = image + (at.y * size.width + at.x) * size.channels + part.input;
    const bool inside = at.y + part.low.y >= 0 && at.y + part.high.y < size.height &&
                        at.x + part.low.x >= 0 && at.x + part.high.x < size.width;
    const int32_t depth = params.depth;
    int8_t* to = window;
    const DspTap* const end = tap + part.taps;
    if (inside && depth == 1) {
#pragma GCC unroll 1
        for (; tap != end; ++tap) {
            *to++ = begin[tap->bytes];
        }
    }
#pragma GCC unroll 1
    for (; tap != end; ++tap) {
        if (inside || (is_within(at.y + tap->y, size.height) && is_within(at.x + tap->x, size.width))) {
            to = dsp::copy_bytes(begin + tap->bytes, depth, to);
        } else {
            to = dsp::fill_bytes(depth, static_cast<int8_t>(params.pad_value), to);
        }
    }
    dsp::widen_words(window, (to - window + 3) >> 2, slot);
}

// One part's pixels of a row of the output.
void row_of(const DspConvTapsParams& params, DspCore core, const DspPart& part, const DspTap* taps,
            const int8_t* image, Pair at, int8_t* output, int8_t* window) {
    const auto slots = reinterpret_cast<int32_t*>(window + params.window_bytes);
    const DspTileParams shape = {part.groups, part.words - kPartWords, 0, params.bounds};
    DspTile tile = dsp::tile_of(shape, weights_of(part), slots);
    const int32_t pitch = params.every.x * params.output.channels;
    for (int32_t left = part.width; left > 0; left -= 2) {
        widen_window(params, part, taps, image, at, window, slots);
        at.x += params.step.x;
        tile.first = tile.second = output;
        if (left > 1) {
            widen_window(params, part, taps, image, at, window, slots + 1);
            at.x += params.step.x;
            tile.second = output + pitch;
        }
        core(tile);
        output = tile.second + pitch;
    }
}

}  // namespace

void dsp_conv_taps(const DspConvTapsParams& params, DspCore core, const int8_t* input, const int32_t* packed,
                   const int32_t* taps, int8_t* output, uint8_t* im2col) {
    const auto first = reinterpret_cast<const DspTap*>(taps);
    for (int32_t n = 0; n < params.batch; ++n) {
        Pair at = params.origin;
        int32_t row = 0;
        for (int32_t oy = 0; oy < params.output.height; ++oy) {
            const int32_t* next = packed;
            for (int32_t left = params.parts; left > 0; --left) {
                const DspPart& part = part_at(next);
                if (part.row == row) {
                    row_of(params, core, part, first + part.first_tap, input, at, output + part.output,
                           reinterpret_cast<int8_t*>(im2col));
                }
                next += part.words;
            }
            if (++row == params.every.y) {
                row = 0;
                at.y += params.step.y;
            }
            output += params.output.width * params.output.channels;
        }
        input += params.input.height * params.input.width * params.input.channels;
    }
}

}  // namespace mcu::kernels
