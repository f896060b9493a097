// Depthwise convolution of int16 images with int8 weights, as many outputs as channels.
//
//   sum    = bias[c] + sum over ky, kx of input[n][y][x][c] * weights[ky][kx][c]
//            with y = oy * stride.y - padding.y + ky * dilation.y, likewise x, inside the image
//   output[n][oy][ox][c] = clamp(rounded(sum, multipliers[c], shifts[c]), low, high)
//
// Layouts: input [batch][height][width][channels], weights [ky][kx][channels], output [batch][height][width]
// [channels]. Parameters as in conv2d_s16.h. Exact (round_s16.h), equal to mcu_build::conv2d_s16 with a group
// for each channel. Inner loop: one multiply-accumulate at a time.

#pragma once

#include "mcu/kernels/conv2d_s16.h"

namespace mcu::kernels {

void depthwise_s16(const Conv2dS16Params& params, const int16_t* input, const int8_t* weights,
                   const int32_t* bias, const int32_t* multipliers, const int32_t* shifts, int16_t* output);

}  // namespace mcu::kernels
