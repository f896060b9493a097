// Convolution (of one group) or linear layer of int16 activations and int8 weights: conv2d_s16.h.
//
// Weights are packed [(outputs + 1) / 2][depth / 4][2 outputs][4 inputs: 0, 2, 1, 3]: two words hold four
// weights of two outputs each, such that SXTB16 gives pairs of neighbours. `scratch` has room for two
// windows, each padded to a multiple of four elements; it is null where each pixel of the image, a multiple
// of four elements, is a row. Sums have 32 bits, shifts are from 33 on. Exact, equal to
// mcu_build::conv2d_s16. Inner loop: 18 instructions for 16 multiply-accumulates (two rows of two outputs).

#pragma once

#include "mcu/kernels/conv2d_s16.h"

namespace mcu::kernels {

void dsp_im2col_s16(const Conv2dS16Params& params, const int16_t* input, const int32_t* packed,
                    const int32_t* bias, const int32_t* multipliers, const int32_t* shifts, int16_t* output,
                    uint8_t* scratch);

}  // namespace mcu::kernels
