// Convolution of float images, and its transpose, in any order of memory (planes.h).
//
//   conv            output[n, o, y, x] = bias[o]
//                       + sum over i, r, c of weight[o, i, r, c] input[n, i, row, column]
//                   row = y stride + r dilation - padding, column likewise
//   conv_transpose  the same with row = (y + padding - r dilation) / stride, column likewise,
//                   where the quotients are whole
//
// Outside the image the input is 0. o and i run over the channels of a group; the weights are read through
// strides (group, output channel, input channel, row, column), bias may be null. The sum is taken in the
// order input channel, row, column, one rounding for each multiplication and addition, the bias last. One
// multiply-add for each MAC.

#pragma once

#include <cstdint>

#include "mcu/kernels/planes.h"

namespace mcu::kernels {

struct ConvF32Params {
    Planes input;
    Planes output;
    int32_t groups;
    int32_t kernel[2];  // rows, columns; the same below
    int32_t stride[2];
    int32_t padding[2];
    int32_t dilation[2];
    int32_t weight_strides[5];
};

void conv_f32(const ConvF32Params& params, const float* input, const float* weight, const float* bias,
              float* output);
void conv_transpose_f32(const ConvF32Params& params, const float* input, const float* weight,
                        const float* bias, float* output);

}  // namespace mcu::kernels
