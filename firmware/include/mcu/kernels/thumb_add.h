// Sum of two int8 tensors of one shape in one order on cores without DSP instructions: the formula and the
// parameters of dsp_add.h.
//
// Exact. An element is written after those of its number, and of the one behind it, were read.

#pragma once

#include <cstdint>

#include "mcu/kernels/dsp_add.h"

namespace mcu::kernels {

void thumb_add_21_s8(const DspAddParams& params, const int8_t* first, const int8_t* second, int8_t* output);
void thumb_add_22_s8(const DspAddParams& params, const int8_t* first, const int8_t* second, int8_t* output);

}  // namespace mcu::kernels
