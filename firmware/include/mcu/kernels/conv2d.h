// Convolution of int8 images, int8 weights, int32 accumulators, one multiplier and shift for each channel.
//
//   sum    = bias[o] + sum over ky, kx, i of (input[n][y][x][group(o) * I + i] + input_offset) *
//   weights[o][ky][kx][i]
//            with y = oy * stride.y - padding.y + ky * dilation.y, likewise x; outside the image nothing is
//            added
//   output[n][oy][ox][o] = clamp(requantize(sum, multipliers[o], shifts[o]) + zero_point, low, high)
//
// Layouts: input [batch][height][width][groups * I], weights [O][ky][kx][I], output
// [batch][height][width][O]. `bias` may be null. Exact (requantize.h); sums must fit 32 bits. Inner loop: one
// multiply-accumulate at a time. Source: cortex_m::quantized_conv2d and its _nhwc twin.

#pragma once

#include <cstdint>

#include "mcu/kernels/image.h"
#include "mcu/kernels/requantize.h"

namespace mcu::kernels {

struct Conv2dParams {
    int32_t batch;
    ImageSize input;
    ImageSize output;
    Window window;
    int32_t groups;
    int32_t input_offset;
    OutputEpilogue epilogue;
};

void conv2d_s8(const Conv2dParams& params, const int8_t* input, const int8_t* weights, const int32_t* bias,
               const int32_t* multipliers, const int32_t* shifts, int8_t* output);

}  // namespace mcu::kernels
