// Convolution (of one group) or linear layer of int16 activations and int8 weights: conv2d_s16.h.
//
// Weights are [outputs][depth]. `scratch` has room for two windows, each padded to a
// multiple of four elements; it is null where each pixel of the image, any number of elements, is a row. Sums
// have 32 bits, shifts are from 33 on. Exact, equal to mcu_build::conv2d_s16. Inner loop: eight instructions
// for 32 multiply-accumulates (two rows of two outputs).

#pragma once

#include "mcu/kernels/conv2d_s16.h"

namespace mcu::kernels {

void mve_im2col_s16(const Conv2dS16Params& params, const int16_t* input, const int8_t* weights,
                    const int32_t* bias, const int32_t* multipliers, const int32_t* shifts, int16_t* output,
                    uint8_t* scratch);

}  // namespace mcu::kernels
