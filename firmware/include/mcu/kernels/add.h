// Sum of two int8 tensors with scales of their own.
//
//   fixed(x)  = requantize((x - zero_point) << 20, multiplier, shift)      for either operand
//   output    = clamp(requantize(fixed(a) + fixed(b), multiplier, shift) + zero_point, low, high)
//
// Operands in any memory layout, broadcast (broadcast.h). Multipliers may be negative: a subtraction.
// Exact: three requantizations (requantize.h) an element, the sum wraps at 32 bits. Source:
// cortex_m::quantized_add.

#pragma once

#include <cstdint>

#include "mcu/kernels/broadcast.h"
#include "mcu/kernels/requantize.h"

namespace mcu::kernels {

struct AddOperand {
    int32_t zero_point;
    int32_t multiplier;
    int32_t shift;
};

struct AddParams {
    Broadcast space;
    AddOperand first;
    AddOperand second;
    int32_t multiplier;
    int32_t shift;
    OutputEpilogue epilogue;
};

void add_s8(const AddParams& params, const int8_t* first, const int8_t* second, int8_t* output);

}  // namespace mcu::kernels
