// Convolution of int16 images with int8 weights, a multiplier and a shift for each channel.
//
//   sum    = bias[o] + sum over ky, kx, i of input[n][y][x][group(o) * I + i] * weights[o][ky][kx][i]
//            with y = oy * stride.y - padding.y + ky * dilation.y, likewise x; outside the image nothing is
//            added
//   output[n][oy][ox][o] = clamp(rounded(sum, multipliers[o], shifts[o]), low, high)
//
// Layouts: input [batch][height][width][groups * I], weights [O][ky][kx][I], output
// [batch][height][width][O]. Depthwise is a group for each channel. Sums have 32 bits, or 64 where is_long.
// Exact (round_s16.h), equal to mcu_build::conv2d_s16. Inner loop: one multiply-accumulate at a time.

#pragma once

#include "mcu/kernels/image.h"
#include "mcu/kernels/round_s16.h"

namespace mcu::kernels {

struct Conv2dS16Params {
    int32_t batch;
    ImageSize input;
    ImageSize output;
    Window window;
    int32_t groups;
    bool is_long;
    BoundsS16 bounds;
};

void conv2d_s16(const Conv2dS16Params& params, const int16_t* input, const int8_t* weights,
                const int32_t* bias, const int32_t* multipliers, const int32_t* shifts, int16_t* output);

}  // namespace mcu::kernels
