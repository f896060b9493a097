// Transposed convolution of int16 images with int8 weights.
//
//   sum    = bias[o] + sum over ky, kx, i of input[n][y][x][i] * weights[o][ky][kx][i], over those y, x with
//            oy = y * stride.y - padding.y + ky * dilation.y, likewise x
//   output[n][oy][ox][o] = clamp(rounded(sum, multipliers[o], shifts[o]), low, high)
//
// Layouts, sums and parameters as in conv2d_s16.h, one group. Exact, equal to
// mcu_build::transpose_conv2d_s16. Inner loop: one multiply-accumulate at a time.

#pragma once

#include "mcu/kernels/conv2d_s16.h"

namespace mcu::kernels {

void transpose_conv2d_s16(const Conv2dS16Params& params, const int16_t* input, const int8_t* weights,
                          const int32_t* bias, const int32_t* multipliers, const int32_t* shifts,
                          int16_t* output);

}  // namespace mcu::kernels
