// Product of two int8 tensors.
//
//   output = clamp(requantize((a - a_zero_point) * (b - b_zero_point), multiplier, shift) + zero_point, low,
//   high)
//
// Operands in any memory layout, broadcast (broadcast.h). Exact (requantize.h). Source:
// cortex_m::quantized_mul.

#pragma once

#include <cstdint>

#include "mcu/kernels/broadcast.h"
#include "mcu/kernels/requantize.h"

namespace mcu::kernels {

struct MulParams {
    Broadcast space;
    int32_t first_zero_point;
    int32_t second_zero_point;
    int32_t multiplier;
    int32_t shift;
    OutputEpilogue epilogue;
};

void mul_s8(const MulParams& params, const int8_t* first, const int8_t* second, int8_t* output);

}  // namespace mcu::kernels
