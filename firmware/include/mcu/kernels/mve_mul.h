// Product of two int8 tensors on Helium: mul_s8 of mul.h, where each operand of the innermost line is dense
// or one value, and shifts are from -31 to 15, clamped to the ends of int8.
//
// Exact: rounded twice as requantize.h does. Element by element in memory order, four at a time: 17
// instructions; eight at a time where both operands are dense: 19.

#pragma once

#include <cstdint>

#include "mcu/kernels/mul.h"

namespace mcu::kernels {

void mve_mul_s8(const MulParams& params, const int8_t* first, const int8_t* second, int8_t* output);

}  // namespace mcu::kernels
