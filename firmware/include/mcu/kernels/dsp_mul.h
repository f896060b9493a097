// Products of two int8 tensors that broadcast: what mul.h computes, requantized with SMMLAR.
//
//   output = requantize(2 * (first - first_zero) * (second - second_zero)), see dsp_requantize.h: the form
//   `half_away`
//
// The operands' walk is that of broadcast.h. Exact where the constants pass dsp_requantize.h's limits for a
// product of at most 255 * 255. An element is written after those of its number, and of the three
// behind it, were read. 36 instructions for four elements where both operands are dense, else 15 for one.

#pragma once

#include <cstdint>

#include "mcu/kernels/broadcast.h"
#include "mcu/kernels/dsp_requantize.h"

namespace mcu::kernels {

struct DspMulParams {
    Broadcast space;
    int32_t first_zero;
    int32_t second_zero;
    DspScale scale;
};

void dsp_mul_s8(const DspMulParams& params, const int8_t* first, const int8_t* second, int8_t* output);

}  // namespace mcu::kernels
