// Transposed convolution of int8 images (the gradient of a convolution; upsampling with learnt weights).
//
//   sum    = bias[o] + sum over ky, kx, i of (input[n][y][x][i] + input_offset) * weights[o][ky][kx][i]
//            over those ky, kx for which y * stride.y = oy + padding.y - ky * dilation.y has a y inside the
//            image, likewise x
//   output[n][oy][ox][o] = clamp(requantize(sum, multipliers[o], shifts[o]) + zero_point, low, high)
//
// Layouts: input [batch][height][width][I], weights [O][ky][kx][I], output [batch][height][width][O]; output
// padding shows in the output's size alone. `bias` may be null. Exact (requantize.h); sums must fit 32 bits.
// The Python definition sums in float32 and is the same while sums stay below 2^24. Each output gathers what
// reaches it, so no scratch memory. Source: cortex_m::quantized_transpose_conv2d and its _nhwc twin.

#pragma once

#include <cstdint>

#include "mcu/kernels/image.h"
#include "mcu/kernels/requantize.h"

namespace mcu::kernels {

struct TransposeConv2dParams {
    int32_t batch;
    ImageSize input;
    ImageSize output;
    Window window;
    int32_t input_offset;
    OutputEpilogue epilogue;
};

void transpose_conv2d_s8(const TransposeConv2dParams& params, const int8_t* input, const int8_t* weights,
                         const int32_t* bias, const int32_t* multipliers, const int32_t* shifts,
                         int8_t* output);

}  // namespace mcu::kernels
