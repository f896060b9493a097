#include "mcu/kernels/dsp_conv2d.h"

#include "tile.h"

namespace mcu::kernels {
namespace {

using dsp::Form;
using dsp::put;
using dsp::Slot;
using dsp::widen_words;

// `count` bytes, filled up to fours with zeros.
__attribute__((noinline)) Slot widen(const int8_t* from, int32_t count, Slot slot) {
    slot = widen_words(from, count >> 2, slot);
    if (const int32_t rest = count & 3; rest != 0) {
        slot = put(dsp::load_bytes(from + count - rest, rest), slot);
    }
    return slot;
}

inline Slot fill(int32_t words, int32_t word, Slot slot) {
    for (; words > 0; --words) {
        slot = put(word, slot);
    }
    return slot;
}

// A row of a window: `before` and `after` are bytes outside the image, `run` all its bytes.
struct Row {
    const int8_t* inside;
    int32_t before;
    int32_t after;
    int32_t run;
};

// Calls function(row, whether it is in the image) for the rows of the window at `origin`.
template <typename Function>
inline __attribute__((always_inline)) void for_each_row(const DspConv2dParams& params, const int8_t* image,
                                                        Pair origin, const Function& function) {
    const ImageSize& size = params.input;
    const int32_t left = origin.x < 0 ? -origin.x : 0;
    const int32_t beyond = origin.x + params.window.size.x - size.width;
    const int32_t right = beyond > 0 ? beyond : 0;
    Row row = {image + (origin.y * size.width + origin.x + left) * size.channels, left * size.channels,
               right * size.channels, params.window.size.x * size.channels};
    for (int32_t y = origin.y; y < origin.y + params.window.size.y; ++y) {
        function(row, static_cast<uint32_t>(y) < static_cast<uint32_t>(size.height));
        row.inside += size.width * size.channels;
    }
}

// Bytes from a row of the image to the next.
inline int32_t pitch_of(const DspConv2dParams& params) {
    return params.input.width * params.input.channels;
}

// Windows of pixels that are whole words. widen_inside() takes those that do not leave the image, from `from`
// on.
struct Words {
    __attribute__((noinline)) static void widen_inside(const DspConv2dParams& params, const int8_t* from,
                                                       Slot slot) {
        const int32_t pitch = pitch_of(params);
        const int32_t words = params.window.size.x * params.input.channels >> 2;
#pragma GCC unroll 1
        for (int32_t rows = params.window.size.y; rows > 0; --rows, from += pitch) {
            slot = widen_words(from, words, slot);
        }
    }
    static void widen_window(const DspConv2dParams& params, const int8_t* image, Pair origin, Slot slot) {
        const int32_t pad = static_cast<uint8_t>(params.pad_value) * 0x01010101;
        for_each_row(params, image, origin, [&](const Row& row, bool inside) {
            if (!inside) {
                slot = fill(row.run >> 2, pad, slot);
                return;
            }
            slot = fill(row.before >> 2, pad, slot);
            slot = widen_words(row.inside, (row.run - row.before - row.after) >> 2, slot);
            slot = fill(row.after >> 2, pad, slot);
        });
    }
};

// Other windows: brought together byte by byte behind the im2col buffer, then widened.
struct Bytes {
    // Behind the im2col buffer; a word further on for the second pixel, as its slots are.
    static int8_t* joined(const DspConv2dParams& params, Slot slot) {
        return reinterpret_cast<int8_t*>(slot + 4 * params.tile.groups);
    }
    __attribute__((noinline)) static void widen_inside(const DspConv2dParams& params, const int8_t* from,
                                                       Slot slot) {
        const int32_t pitch = pitch_of(params);
        const int32_t run = params.window.size.x * params.input.channels;
        int8_t* const window = joined(params, slot);
        int8_t* to = window;
#pragma GCC unroll 1
        for (int32_t rows = params.window.size.y; rows > 0; --rows, from += pitch) {
            to = dsp::copy_bytes(from, run, to);
        }
        widen_words(window, (to - window + 3) >> 2, slot);
    }
    static void widen_window(const DspConv2dParams& params, const int8_t* image, Pair origin, Slot slot) {
        const auto pad = static_cast<int8_t>(params.pad_value);
        int8_t* const window = joined(params, slot);
        int8_t* to = window;
        for_each_row(params, image, origin, [&](const Row& row, bool inside) {
            if (!inside) {
                to = dsp::fill_bytes(row.run, pad, to);
                return;
            }
            if (row.before > 0) {
                to = dsp::fill_bytes(row.before, pad, to);
            }
            to = dsp::copy_bytes(row.inside, row.run - row.before - row.after, to);
            if (row.after > 0) {
                to = dsp::fill_bytes(row.after, pad, to);
            }
        });
        widen_words(window, (to - window + 3) >> 2, slot);
    }
};

// Calls two_pixels(their outputs) for all pixels, two at once, when their windows are in the im2col buffer.
template <typename Kind, typename TwoPixels>
inline __attribute__((always_inline)) void conv2d(const DspConv2dParams& params, const int8_t* input,
                                                  int8_t* output, Slot slots, TwoPixels two_pixels) {
    const Window& window = params.window;
    const int32_t last = params.input.width - window.size.x;
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t oy = 0; oy < params.output.height; ++oy) {
            Pair origin = {oy * window.stride.y - window.padding.y, -window.padding.x};
            const bool rows_inside = origin.y >= 0 && origin.y + window.size.y <= params.input.height;
            const int8_t* const row = input + origin.y * pitch_of(params);
            const auto widen = [&](Slot slot) {
                if (rows_inside && origin.x >= 0 && origin.x <= last) {
                    Kind::widen_inside(params, row + origin.x * params.input.channels, slot);
                } else {
                    Kind::widen_window(params, input, origin, slot);
                }
                origin.x += window.stride.x;
            };
            for (int32_t left = params.output.width; left > 0; left -= 2) {
                widen(slots);
                int8_t* second = output;
                if (left > 1) {
                    widen(slots + 1);
                    second = output + params.tile.channels;
                }
                two_pixels(output, second);
                output = second + params.tile.channels;
            }
        }
        input += params.input.height * params.input.width * params.input.channels;
    }
}

template <typename TwoPixels>
inline __attribute__((always_inline)) void pointwise(const DspPointwiseParams& params, const int8_t* input,
                                                     int8_t* output, Slot slots, TwoPixels two_pixels) {
    for (int32_t left = params.pixels; left > 0; left -= 2) {
        widen(input, params.depth, slots);
        int8_t* second = output;
        if (left > 1) {
            widen(input + params.depth, params.depth, slots + 1);
            second = output + params.tile.channels;
        }
        two_pixels(output, second);
        input += 2 * params.depth;
        output = second + params.tile.channels;
    }
}

// By a core, and for sums of any size.
struct ByCore {
    DspCore core;
    DspTile tile;
    void operator()(int8_t* first, int8_t* second) {
        tile.first = first;
        tile.second = second;
        core(tile);
    }
};
template <Form kForm>
struct Long {
    const DspTileParams& params;
    const int32_t* packed;
    const int32_t* im2col;
    void operator()(int8_t* first, int8_t* second) const {
        dsp::two_pixels_long<kForm>(params, im2col, packed, first, second);
    }
};

inline Slot slots_of(uint8_t* im2col) {
    return reinterpret_cast<Slot>(im2col);
}

}  // namespace

void dsp_conv2d(const DspConv2dParams& params, DspCore core, const int8_t* input, const int32_t* packed,
                int8_t* output, uint8_t* im2col) {
    const Slot slots = slots_of(im2col);
    conv2d<Words>(params, input, output, slots, ByCore{core, dsp::tile_of(params.tile, packed, slots)});
}

void dsp_conv2d_bytes(const DspConv2dParams& params, DspCore core, const int8_t* input, const int32_t* packed,
                      int8_t* output, uint8_t* im2col) {
    const Slot slots = slots_of(im2col);
    conv2d<Bytes>(params, input, output, slots, ByCore{core, dsp::tile_of(params.tile, packed, slots)});
}

void dsp_pointwise(const DspPointwiseParams& params, DspCore core, const int8_t* input, const int32_t* packed,
                   int8_t* output, uint8_t* im2col) {
    const Slot slots = slots_of(im2col);
    pointwise(params, input, output, slots, ByCore{core, dsp::tile_of(params.tile, packed, slots)});
}

#define MCU_DSP_LONG(form, kForm)                                                                          \
    void dsp_conv2d_long_##form(const DspConv2dParams& params, const int8_t* input, const int32_t* packed, \
                                int8_t* output, uint8_t* im2col) {                                         \
        conv2d<Words>(params, input, output, slots_of(im2col),                                             \
                      Long<kForm>{params.tile, packed, slots_of(im2col)});                                 \
    }                                                                                                      \
    void dsp_conv2d_bytes_long_##form(const DspConv2dParams& params, const int8_t* input,                  \
                                      const int32_t* packed, int8_t* output, uint8_t* im2col) {            \
        conv2d<Bytes>(params, input, output, slots_of(im2col),                                             \
                      Long<kForm>{params.tile, packed, slots_of(im2col)});                                 \
    }                                                                                                      \
    void dsp_pointwise_long_##form(const DspPointwiseParams& params, const int8_t* input,                  \
                                   const int32_t* packed, int8_t* output, uint8_t* im2col) {               \
        pointwise(params, input, output, slots_of(im2col),                                                 \
                  Long<kForm>{params.tile, packed, slots_of(im2col)});                                     \
    }

MCU_DSP_LONG(relu, Form::kRelu)
MCU_DSP_LONG(half_away, Form::kHalfAway)
MCU_DSP_LONG(bounded, Form::kBounded)

}  // namespace mcu::kernels
