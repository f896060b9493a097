// linear_w4.h with the DSP extension, four outputs of a row at once. Exact, equal to it.
//
// Layouts: weights [outputs / 4][words of a row][4], zero for absent outputs and inputs; a word has eight
// inputs, from its lowest four bits on 0, 1, 4, 5, 2, 3, 6, 7. factors [outputs / 4][blocks][4]. 47
// instructions for 32 products.

#pragma once

#include "mcu/kernels/linear_w4.h"

namespace mcu::kernels {

void dsp_linear_w4(const LinearW4Params& params, const int8_t* input, const int32_t* weights,
                   const uint8_t* factors, const int32_t* bias, const int32_t* multipliers,
                   const int32_t* shifts, int8_t* output);

}  // namespace mcu::kernels
