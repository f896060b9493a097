// Depthwise convolution of int8 images: every input channel makes `multiplier` output channels of its own.
//
//   sum    = bias[o] + sum over ky, kx of (input[n][y][x][o / multiplier] + input_offset) *
//   weights[ky][kx][o]
//            with y = oy * stride.y - padding.y + ky * dilation.y, likewise x; outside the image nothing is
//            added
//   output[n][oy][ox][o] = clamp(requantize(sum, multipliers[o], shifts[o]) + zero_point, low, high)
//
// multiplier = output channels / input channels. Layouts: input [batch][height][width][C], weights
// [ky][kx][multiplier * C], output [batch][height][width][multiplier * C]. `bias` may be null. Exact
// (requantize.h); sums must fit 32 bits. Inner loop: one multiply-accumulate at a time.
// Source: cortex_m::quantized_depthwise_conv2d and its _nhwc twin.

#pragma once

#include <cstdint>

#include "mcu/kernels/image.h"
#include "mcu/kernels/requantize.h"

namespace mcu::kernels {

struct DepthwiseConv2dParams {
    int32_t batch;
    ImageSize input;
    ImageSize output;
    Window window;
    int32_t input_offset;
    OutputEpilogue epilogue;
};

void depthwise_conv2d_s8(const DepthwiseConv2dParams& params, const int8_t* input, const int8_t* weights,
                         const int32_t* bias, const int32_t* multipliers, const int32_t* shifts,
                         int8_t* output);

}  // namespace mcu::kernels
