// Convolution of float images and volumes, and its transpose, in any memory layout (planes.h).
//
//   conv            output[n, o, z, y, x] = bias[o]
//                       + sum over i, d, r, c of weight[o, i, d, r, c] input[n, i, depth, row, column]
//                   row = y stride + r dilation - padding, depth and column likewise
//   conv_transpose  the same with row = (y + padding - r dilation) / stride, depth and column likewise,
//                   where the quotients are whole
//
// Outside the image the input is 0. o and i run over the channels of a group; the weights are read through
// strides (group, output channel, input channel, depth, row, column), bias may be null. The sum is taken in
// the order input channel, depth, row, column, one rounding for each multiplication and addition, the bias
// last. One multiply-add for each MAC.

#pragma once

#include <cstdint>

#include "mcu/kernels/planes.h"

namespace mcu::kernels {

struct ConvF32Params {
    Planes input;
    Planes output;
    int32_t groups;
    int32_t kernel[3];  // depth, rows, columns; the same below
    int32_t stride[3];
    int32_t padding[3];
    int32_t dilation[3];
    int32_t weight_strides[6];
};

void conv_f32(const ConvF32Params& params, const float* input, const float* weight, const float* bias,
              float* output);
void conv_transpose_f32(const ConvF32Params& params, const float* input, const float* weight,
                        const float* bias, float* output);

}  // namespace mcu::kernels
