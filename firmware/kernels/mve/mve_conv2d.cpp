#include "mcu/kernels/mve_conv2d.h"

#include "conv_tile.h"
#include "copy_vectors.h"

namespace mcu::kernels {
namespace {

using mve::kPixels;
using mve::Sums;

int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}
int32_t larger(int32_t a, int32_t b) {
    return a > b ? a : b;
}

// `columns` pixels from `from` on, of which those outside of the image are `pad_value`.
void copy_columns(const MveConvParams& params, const int8_t* row, bool inside, int32_t from, int32_t columns,
                  int8_t* to) {
    const int32_t channels = params.input.channels;
    const auto pad = static_cast<int8_t>(params.pad_value);
    const int32_t start = smaller(larger(-from, 0), columns);
    const int32_t end = inside ? smaller(params.input.width - from, columns) : start;
    mve::fill_bytes(to, pad, start * channels);
    mve::copy_bytes(to + start * channels, row + (from + start) * channels, (end - start) * channels);
    const int32_t behind = larger(end, start);
    mve::fill_bytes(to + behind * channels, pad, (columns - behind) * channels);
}

// The window whose corner is at (y, x), its rows one behind the other.
void copy_window(const MveConvParams& params, const int8_t* input, int32_t y, int32_t x, int8_t* to) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const int32_t pitch = params.input.width * channels;
    const int32_t bytes = window.size.x * channels;
    const bool inside = y >= 0 && y + (window.size.y - 1) * window.dilation.y < params.input.height &&
                        x >= 0 && x + window.size.x <= params.input.width;
    if (inside && window.dilation.x == 1 && bytes <= 16) {
        const int8_t* row = input + y * pitch + x * channels;
        const mve_pred16_t left = vctp8q(static_cast<uint32_t>(bytes));
        for (int32_t ky = window.size.y; ky > 0; --ky) {
            vstrbq_p_s8(to, vldrbq_z_s8(row, left), left);
            to += bytes;
            row += window.dilation.y * pitch;
        }
        return;
    }
    for (int32_t ky = 0; ky < window.size.y; ++ky, y += window.dilation.y) {
        const bool row_inside = y >= 0 && y < params.input.height;
        const int8_t* row = input + y * pitch;
        // Columns in one piece, unless they are spread.
        const int32_t pieces = window.dilation.x == 1 ? 1 : window.size.x;
        const int32_t columns = window.dilation.x == 1 ? window.size.x : 1;
        for (int32_t kx = 0; kx < pieces; ++kx) {
            copy_columns(params, row, row_inside, x + kx * window.dilation.x, columns, to);
            to += columns * channels;
        }
    }
}

// The windows of three neighbours that lie in the image, from `in` on; rows of at most 16 bytes.
MCU_INLINE void copy_neighbours(const MveConvParams& params, const int8_t* in, int8_t* to) {
    const int32_t bytes = params.window.size.x * params.input.channels;
    const int32_t pitch = params.input.width * params.input.channels * params.window.dilation.y;
    const int32_t stride = params.window.stride.x * params.input.channels;
    const int32_t size = params.vectors * 16;
    const mve_pred16_t left = vctp8q(static_cast<uint32_t>(bytes));
    for (int32_t ky = params.window.size.y; ky > 0; --ky) {
        vstrbq_p_s8(to, vldrbq_z_s8(in, left), left);
        vstrbq_p_s8(to + size, vldrbq_z_s8(in + stride, left), left);
        vstrbq_p_s8(to + 2 * size, vldrbq_z_s8(in + 2 * stride, left), left);
        to += bytes;
        in += pitch;
    }
}

// Calls run(outputs) for every three pixels, whose windows are then in `im2col`. They may lie in two rows;
// the last ones may be the same pixel.
template <typename Run>
MCU_INLINE void for_each_im2col(const MveConvParams& given, const int8_t* input, int8_t* output,
                                uint8_t* im2col, const Run& run) {
    const MveConvParams params = given;  // which stores of int8 cannot change
    const Window& window = params.window;
    const int32_t size = params.vectors * 16;
    const int32_t height = (window.size.y - 1) * window.dilation.y + 1;
    const int32_t width = (kPixels - 1) * window.stride.x + window.size.x;
    const int32_t right = window.dilation.x == 1 && window.size.x * params.input.channels <= 16
                              ? params.input.width - width
                              : -1;
    auto* to = reinterpret_cast<int8_t*>(im2col);
    // Behind the windows weights are zero, but products are made.
    mve::fill_bytes(to, 0, kPixels * size);
    for (int32_t n = 0; n < params.batch; ++n) {
        Pair at = {0, 0};
        int8_t* out = output;
        for (int32_t left = params.output.y * params.output.x; left > 0; left -= kPixels) {
            const int32_t y = at.y * window.stride.y - window.padding.y;
            const int32_t x = at.x * window.stride.x - window.padding.x;
            int8_t* outputs[kPixels];
            if (y >= 0 && y + height <= params.input.height && x >= 0 && x <= right &&
                at.x + kPixels <= params.output.x) {
                copy_neighbours(params, input + (y * params.input.width + x) * params.input.channels, to);
                for (int32_t p = 0; p < kPixels; ++p) {
                    outputs[p] = out;
                    out += params.epilogue.channels;
                }
                at.x += kPixels;
            } else {
                for (int32_t p = 0; p < kPixels; ++p) {
                    at = at.x == params.output.x ? Pair{at.y + 1, 0} : at;
                    copy_window(given, input, at.y * window.stride.y - window.padding.y,
                                at.x * window.stride.x - window.padding.x, to + p * size);
                    outputs[p] = out;
                    if (p + 1 < left) {
                        ++at.x;
                        out += params.epilogue.channels;
                    }
                }
            }
            at = at.x == params.output.x ? Pair{at.y + 1, 0} : at;
            run(outputs);
        }
        input += params.input.height * params.input.width * params.input.channels;
        output += params.output.y * params.output.x * params.epilogue.channels;
    }
}

template <typename SumsOf>
MCU_INLINE void conv_im2col(const MveConvParams& params, const int8_t* input, const int8_t* weights,
                            const int32_t* scales, int8_t* output, uint8_t* im2col, const SumsOf& sums_of) {
    const auto* in = reinterpret_cast<const int8_t*>(im2col);
    for_each_im2col(params, input, output, im2col, [&](int8_t* const(&outputs)[kPixels]) {
        mve::tile(params.epilogue, weights, {scales, {outputs[0], outputs[1], outputs[2]}},
                  [&](const int8_t*& w) { return sums_of(in, w); });
    });
}

}  // namespace

void mve_pointwise_s8(const MvePointwiseParams& params, const int8_t* input, const int8_t* weights,
                      const int32_t* scales, int8_t* output) {
    const int32_t vectors = params.vectors;
    const int32_t channels = params.epilogue.channels;
    const int32_t last = params.pixels - kPixels;
    for (int32_t pixel = 0; pixel < params.pixels; pixel += kPixels) {
        const int32_t first = smaller(pixel, last);
        const int8_t* in = input + first * vectors * 16;
        mve::tile(params.epilogue, weights, mve::epilogue_at(scales, output + first * channels, channels),
                  [=](const int8_t*& w) { return mve::sums_of_long_run(in, vectors, vectors * 16, w); });
    }
}

void mve_side_by_side_s8(const MveSideBySideParams& params, const int8_t* input, const int8_t* weights,
                         const int32_t* scales, int8_t* output) {
    const MvePointwiseParams& row = params.row;
    const int32_t quads = (row.epilogue.channels + 3) / 4;
    for (int32_t y = 0; y < params.input_rows; ++y) {
        for (int32_t ky = 0; ky < params.window_rows; ++ky) {
            mve_pointwise_s8(row, input, weights + ky * quads * row.vectors * 64, scales + ky * quads * 16,
                             output);
            output += row.pixels * row.epilogue.channels;
        }
        input += row.pixels * row.vectors * 16;
    }
}

void mve_conv_im2col_s8(const MveConvParams& params, const int8_t* input, const int8_t* weights,
                        const int32_t* scales, int8_t* output, uint8_t* im2col) {
    const int32_t vectors = params.vectors;
    conv_im2col(params, input, weights, scales, output, im2col,
                [vectors](const int8_t* in, const int8_t*& w) {
                    return mve::sums_of_long_run(in, vectors, vectors * 16, w);
                });
}

}  // namespace mcu::kernels
