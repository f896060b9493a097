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

// `sums_of(in, weights)` gives the sums of the three pixels at `in`, which start `stride` bytes apart.
template <typename SumsOf>
MCU_INLINE void pointwise(const MvePointwiseParams& params, int32_t stride, const int8_t* input,
                          const int8_t* weights, const int32_t* scales, int8_t* output,
                          const SumsOf& sums_of) {
    const int32_t last = params.pixels - kPixels;
    for (int32_t pixel = 0; pixel < params.pixels; pixel += kPixels) {
        const int32_t first = smaller(pixel, last);
        const int8_t* in = input + first * stride;
        mve::tile(params.stage, weights, scales, output + first * params.stage.channels,
                  params.stage.channels, [&](const int8_t*& w) { return sums_of(in, w); });
    }
}

template <int kVectors>
MCU_INLINE void pointwise_of(const MvePointwiseParams& params, const int8_t* input, const int8_t* weights,
                             const int32_t* scales, int8_t* output) {
    pointwise(params, kVectors * 16, input, weights, scales, output, [](const int8_t* in, const int8_t*& w) {
        return mve::sums_of_run<kVectors, kVectors * 16>(in, w);
    });
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

// Calls run(in, row pitch, out) for every three pixels: where `in` is their windows' corner, in the image or,
// at its border, in `patch`.
template <int kStride, typename Run>
MCU_INLINE void for_each_3x3(const MveConvParams& params, const int8_t* input, int8_t* output, uint8_t* patch,
                             const Run& run) {
    constexpr int32_t kColumns = 3 + (kPixels - 1) * kStride;
    const int32_t channels = params.input.channels;
    const int32_t pitch = params.input.width * channels;
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t oy = 0; oy < params.output.y; ++oy) {
            const int32_t y = oy * kStride - params.window.padding.y;
            for (int32_t pixel = 0; pixel < params.output.x; pixel += kPixels) {
                const int32_t ox = smaller(pixel, params.output.x - kPixels);
                const int32_t x = ox * kStride - params.window.padding.x;
                int8_t* out = output + ox * params.stage.channels;
                const int8_t* in = input + y * pitch + x * channels;
                if (y >= 0 && x >= 0 && y + 3 <= params.input.height && x + kColumns <= params.input.width) {
                    run(in, pitch, out);
                    continue;
                }
                auto* to = reinterpret_cast<int8_t*>(patch);
                for (int32_t ky = 0; ky < 3; ++ky) {
                    const bool inside = y + ky >= 0 && y + ky < params.input.height;
                    copy_columns(params, input + (y + ky) * pitch, inside, x, kColumns,
                                 to + ky * kColumns * channels);
                }
                run(to, kColumns * channels, out);
            }
            output += params.output.x * params.stage.channels;
        }
        input += params.input.height * pitch;
    }
}

template <int kVectors>
MCU_INLINE void conv_3x3(const MveConvParams& params, const int8_t* input, const int8_t* weights,
                         const int32_t* scales, int8_t* output, uint8_t* patch) {
    for_each_3x3<1>(params, input, output, patch, [&](const int8_t* in, int32_t row, int8_t* out) {
        mve::tile(params.stage, weights, scales, out, params.stage.channels,
                  [&](const int8_t*& w) { return mve::sums_of_3x3<kVectors>(in, row, w); });
    });
}

template <int kVectors>
MCU_INLINE void conv_3x3_stride_2(const MveConvParams& params, const int8_t* input, const int8_t* weights,
                                  const int32_t* scales, int8_t* output, uint8_t* patch) {
    for_each_3x3<2>(params, input, output, patch, [&](const int8_t* in, int32_t row, int8_t* out) {
        mve::tile(params.stage, weights, scales, out, params.stage.channels,
                  [&](const int8_t*& w) { return mve::sums_of_3x3_stride_2<kVectors>(in, row, w); });
    });
}

// The window whose corner is at (y, x), its rows one behind the other.
void copy_window(const MveConvParams& params, const int8_t* input, int32_t y, int32_t x, int8_t* to) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const int32_t pitch = params.input.width * channels;
    for (int32_t ky = 0; ky < window.size.y; ++ky, y += window.dilation.y) {
        const bool inside = y >= 0 && y < params.input.height;
        const int8_t* row = input + y * pitch;
        if (window.dilation.x == 1) {
            copy_columns(params, row, inside, x, window.size.x, to);
            to += window.size.x * channels;
            continue;
        }
        for (int32_t kx = 0; kx < window.size.x; ++kx) {
            copy_columns(params, row, inside, x + kx * window.dilation.x, 1, to);
            to += channels;
        }
    }
}

// The windows of kPixels pixels that lie in the image, at `in` and `stride` bytes further each; rows of at
// most 16 bytes.
MCU_INLINE void copy_inside(const MveConvParams& params, const int8_t* in, int32_t stride, int32_t count,
                            int8_t* to) {
    const int32_t rows = params.window.size.y;
    const int32_t bytes = params.window.size.x * params.input.channels;
    const int32_t pitch = params.input.width * params.input.channels * params.window.dilation.y;
    const int32_t gap = params.vectors * 16 - rows * bytes;
    const mve_pred16_t left = vctp8q(static_cast<uint32_t>(bytes));
    for (int32_t p = 0; p < count; ++p) {
        const int8_t* row = in + p * stride;
        for (int32_t ky = 0; ky < rows; ++ky) {
            vstrbq_p_s8(to, vldrbq_z_s8(row, left), left);
            to += bytes;
            row += pitch;
        }
        to += gap;
    }
}

// Calls run(pixel pitch, out, out's pitch) for every three pixels, whose windows are then in `patch`. Rows of
// less than three pixels are taken one by one, as three at the same place.
template <typename Run>
MCU_INLINE void for_each_patch(const MveConvParams& params, const int8_t* input, int8_t* output,
                               uint8_t* patch, const Run& run) {
    const Window& window = params.window;
    const bool wide = params.output.x >= kPixels;
    const int32_t count = wide ? kPixels : 1;
    const int32_t size = params.vectors * 16;
    const int32_t used = window.size.y * window.size.x * params.input.channels;
    const int32_t height = (window.size.y - 1) * window.dilation.y + 1;
    const bool small = window.dilation.x == 1 && window.size.x * params.input.channels <= 16;
    auto* to = reinterpret_cast<int8_t*>(patch);
    for (int32_t p = 0; p < count; ++p) {
        // Their weights are zero, but they are read.
        mve::fill_bytes(to + p * size + used, 0, size - used);
    }
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t oy = 0; oy < params.output.y; ++oy) {
            for (int32_t pixel = 0; pixel < params.output.x; pixel += count) {
                const int32_t ox = smaller(pixel, params.output.x - count);
                const int32_t y = oy * window.stride.y - window.padding.y;
                const int32_t x = ox * window.stride.x - window.padding.x;
                if (small && y >= 0 && y + height <= params.input.height && x >= 0 &&
                    x + (count - 1) * window.stride.x + window.size.x <= params.input.width) {
                    copy_inside(params, input + (y * params.input.width + x) * params.input.channels,
                                window.stride.x * params.input.channels, count, to);
                } else {
                    for (int32_t p = 0; p < count; ++p) {
                        copy_window(params, input, y, x + p * window.stride.x, to + p * size);
                    }
                }
                run(to, wide ? size : 0, output + ox * params.stage.channels,
                    wide ? params.stage.channels : 0);
            }
            output += params.output.x * params.stage.channels;
        }
        input += params.input.height * params.input.width * params.input.channels;
    }
}

template <int kVectors>
MCU_INLINE void conv_patches(const MveConvParams& params, const int8_t* input, const int8_t* weights,
                             const int32_t* scales, int8_t* output, uint8_t* patch) {
    for_each_patch(
        params, input, output, patch, [&](const int8_t* in, int32_t, int8_t* out, int32_t out_pitch) {
            mve::tile(params.stage, weights, scales, out, out_pitch,
                      [&](const int8_t*& w) { return mve::sums_of_run<kVectors, kVectors * 16>(in, w); });
        });
}

}  // namespace

void mve_pointwise_s8(const MvePointwiseParams& params, const int8_t* input, const int8_t* weights,
                      const int32_t* scales, int8_t* output) {
    const int32_t vectors = params.vectors;
    pointwise(params, vectors * 16, input, weights, scales, output,
              [vectors](const int8_t* in, const int8_t*& w) {
                  return mve::sums_of_long_run(in, vectors, vectors * 16, w);
              });
}

void mve_pointwise_8_s8(const MvePointwiseParams& params, const int8_t* input, const int8_t* weights,
                        const int32_t* scales, int8_t* output) {
    pointwise(params, 8, input, weights, scales, output,
              [](const int8_t* in, const int8_t*& w) { return mve::sums_of_8(in, w); });
}

void mve_pointwise_16_s8(const MvePointwiseParams& params, const int8_t* input, const int8_t* weights,
                         const int32_t* scales, int8_t* output) {
    pointwise_of<1>(params, input, weights, scales, output);
}

void mve_pointwise_32_s8(const MvePointwiseParams& params, const int8_t* input, const int8_t* weights,
                         const int32_t* scales, int8_t* output) {
    pointwise_of<2>(params, input, weights, scales, output);
}

void mve_pointwise_64_s8(const MvePointwiseParams& params, const int8_t* input, const int8_t* weights,
                         const int32_t* scales, int8_t* output) {
    pointwise_of<4>(params, input, weights, scales, output);
}

void mve_pointwise_128_s8(const MvePointwiseParams& params, const int8_t* input, const int8_t* weights,
                          const int32_t* scales, int8_t* output) {
    pointwise_of<8>(params, input, weights, scales, output);
}

void mve_conv_3x3_16_s8(const MveConvParams& params, const int8_t* input, const int8_t* weights,
                        const int32_t* scales, int8_t* output, uint8_t* patch) {
    conv_3x3<1>(params, input, weights, scales, output, patch);
}

void mve_conv_3x3_32_s8(const MveConvParams& params, const int8_t* input, const int8_t* weights,
                        const int32_t* scales, int8_t* output, uint8_t* patch) {
    conv_3x3<2>(params, input, weights, scales, output, patch);
}

void mve_conv_3x3_64_s8(const MveConvParams& params, const int8_t* input, const int8_t* weights,
                        const int32_t* scales, int8_t* output, uint8_t* patch) {
    conv_3x3<4>(params, input, weights, scales, output, patch);
}

void mve_conv_3x3_stride_2_16_s8(const MveConvParams& params, const int8_t* input, const int8_t* weights,
                                 const int32_t* scales, int8_t* output, uint8_t* patch) {
    conv_3x3_stride_2<1>(params, input, weights, scales, output, patch);
}

void mve_conv_3x3_stride_2_32_s8(const MveConvParams& params, const int8_t* input, const int8_t* weights,
                                 const int32_t* scales, int8_t* output, uint8_t* patch) {
    conv_3x3_stride_2<2>(params, input, weights, scales, output, patch);
}

void mve_conv_patches_16_s8(const MveConvParams& params, const int8_t* input, const int8_t* weights,
                            const int32_t* scales, int8_t* output, uint8_t* patch) {
    conv_patches<1>(params, input, weights, scales, output, patch);
}

void mve_conv_patches_32_s8(const MveConvParams& params, const int8_t* input, const int8_t* weights,
                            const int32_t* scales, int8_t* output, uint8_t* patch) {
    conv_patches<2>(params, input, weights, scales, output, patch);
}

void mve_conv_patches_48_s8(const MveConvParams& params, const int8_t* input, const int8_t* weights,
                            const int32_t* scales, int8_t* output, uint8_t* patch) {
    conv_patches<3>(params, input, weights, scales, output, patch);
}

void mve_conv_patches_s8(const MveConvParams& params, const int8_t* input, const int8_t* weights,
                         const int32_t* scales, int8_t* output, uint8_t* patch) {
    const int32_t vectors = params.vectors;
    for_each_patch(
        params, input, output, patch, [&](const int8_t* in, int32_t pitch, int8_t* out, int32_t out_pitch) {
            mve::tile(params.stage, weights, scales, out, out_pitch,
                      [&](const int8_t*& w) { return mve::sums_of_long_run(in, vectors, pitch, w); });
        });
}

}  // namespace mcu::kernels
