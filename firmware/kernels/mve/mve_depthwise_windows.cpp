#include "mcu/kernels/mve_depthwise_windows.h"

#include "copy_vectors.h"
#include "depthwise_rows.h"

namespace mcu::kernels {
namespace {

constexpr int32_t kWord = 4;    // bytes: four rows
constexpr int32_t kBlock = 16;  // channels

// Bytes from a column to the next.
int32_t column_of(const MveDepthwiseWindowsParams& params) {
    return params.narrow ? kWord : kWord * kBlock;
}

int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}
int32_t larger(int32_t a, int32_t b) {
    return a > b ? a : b;
}

// For `rows` rows and `width` columns of the output. A step is two columns of two rows, or four columns.
void set_size(const MveDepthwiseWindowsParams& params, int32_t rows, int32_t width,
              MveDepthwiseSpace& space) {
    const int32_t step = params.pairs ? 2 : 4;
    const int32_t pixel = params.input.channels * params.copies;
    space.loops = (width + step - 1) / step - 1;
    space.pitch = step * pixel;
    space.back = (params.narrow ? 1 : params.copies) - space.loops * space.pitch;
    space.next =
        (params.narrow ? 0 : kWord) - (space.loops + 1) * step * params.window.stride.x * column_of(params);
    space.rest = (width - space.loops * step) * (4 / step);
    space.lower = rows == 2 ? 256 : 1;
    const int32_t below = rows == 2 ? params.output.x * pixel : 0;
    for (int32_t i = 0; i < 4; ++i) {
        space.offsets[i] = params.pairs ? (i / 2) * pixel + (i % 2) * below : i * pixel;
    }
}

MveDepthwiseSpace space_of(const MveDepthwiseWindowsParams& params, const int8_t* columns) {
    MveDepthwiseSpace space = {};
    space.low = params.low;
    space.high = params.high;
    const int32_t before = params.pairs ? 2 : params.window.stride.x;
    const auto start = static_cast<int32_t>(reinterpret_cast<uintptr_t>(columns));
    for (int32_t i = 0; i < 4; ++i) {
        space.bases[0][i] = start + (i * params.window.dilation.x - before) * column_of(params);
        space.bases[1][i] = space.bases[0][i] + params.second;
    }
    return space;
}

// `width` columns of an image of one channel from column `first` on, sixteen at once: up to fifteen behind
// them are zeros then.
void copy_columns(const mve::Rows& rows, int32_t first, int32_t width, int8_t* to) {
    if (const int32_t whole = width / kBlock; whole > 0) {
        mve::copy_rows(kBlock, rows, first, whole, kBlock, to);
    }
    if (const int32_t rest = width % kBlock; rest > 0) {
        mve::copy_rows(kBlock, rows, first + width - rest, 1, rest, to + (width - rest) * kWord);
    }
}

}  // namespace

void mve_depthwise_windows_s8(const MveDepthwiseWindowsParams& given, MveDepthwiseCore core,
                              const int8_t* input, const int8_t* records, int8_t* output, uint8_t* columns) {
    const MveDepthwiseWindowsParams params = given;  // which stores of int8 cannot change
    const Window& window = params.window;
    const int32_t pixel = params.input.channels;
    const int32_t width = params.output.x;
    const int32_t at_once = params.pairs ? 2 : 1;
    const int32_t column = column_of(params);
    const int32_t plane = params.columns * column;
    const int32_t calls = params.narrow ? 1 : params.copies;
    const auto value = static_cast<int8_t>(params.pad_value);
    auto* const at = reinterpret_cast<int8_t*>(columns);
    const int8_t* pad = at + params.planes * plane;
    mve::fill_bytes(at, value, params.planes * plane + kBlock);
    MveDepthwiseSpace space = space_of(params, at);
    Pair size = {0, 0};
    // Compilers are not to conclude from a naked function's text that it reads no space.
    __asm__("" : "+r"(core));
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t oy = 0; oy < params.output.y; oy += at_once) {
            const int32_t y = oy * window.stride.y - window.padding.y;
            const int32_t lines = smaller(at_once, params.output.y - oy);
            mve::Rows rows[2];
            for (int32_t p = 0; p < params.planes; ++p) {
                rows[p] = mve::rows_at(params.input, input, y + 4 * p * window.dilation.y, window.dilation.y,
                                       window.size.y + lines - 1 - 4 * p, pad);
            }
            for (int32_t ox = 0; ox < width; ox += params.strip) {
                const int32_t some = smaller(params.strip, width - ox);
                const int32_t wanted =
                    (some - 1) * window.stride.x + (window.size.x - 1) * window.dilation.x + 1;
                const int32_t left = ox * window.stride.x - window.padding.x;
                const int32_t first = larger(left, 0);
                const int32_t end = larger(smaller(left + wanted, params.input.width), first);
                if (some != size.x || lines != size.y) {
                    size = {lines, some};
                    set_size(params, lines, some, space);
                }
                for (int32_t p = 0; params.narrow && end > first && p < params.planes; ++p) {
                    copy_columns(rows[p], first, end - first, at + p * plane + (first - left) * column);
                }
                // What a whole row of channels has beside the image stays what it is.
                for (int32_t p = 0; (params.narrow || params.strip < width) && p < params.planes; ++p) {
                    mve::fill_bytes(at + p * plane, value, (first - left) * column);
                    mve::fill_bytes(at + p * plane + (end - left) * column, value,
                                    (left + wanted - end) * column);
                }
                space.records = records;
                for (int32_t c = 0; c < pixel; c += kBlock) {
                    const int32_t channels = smaller(pixel - c, kBlock);
                    for (int32_t p = 0; !params.narrow && end > first && p < params.planes; ++p) {
                        mve::copy_rows(pixel, rows[p], first * pixel + c, end - first, channels,
                                       at + p * plane + (first - left) * column);
                    }
                    const int32_t made = params.narrow ? params.copies : channels;
                    for (int32_t copy = 0; copy < calls; ++copy) {
                        space.output = output + (ox * pixel + c) * params.copies + copy;
                        space.end = space.records + made * params.record;
                        space.written = 0;
                        core(space);
                        space.records = space.end;
                    }
                }
            }
            output += lines * width * pixel * params.copies;
        }
        input += params.input.height * params.input.width * pixel;
    }
}

}  // namespace mcu::kernels
