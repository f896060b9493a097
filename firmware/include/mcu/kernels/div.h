// Quotient of two tensors of int8 or int16.
//
//   output = clamp(rint((a - a_zero_point) / (b - b_zero_point) * scale) + zero_point, range of the type)
//
// A divisor of zero gives a quotient of zero. Operands in any memory layout. Exact: float32, one rounding
// for each operation, half to even in rint. Source: cortex_m::quantized_div.

#pragma once

#include <cstdint>

#include "mcu/kernels/broadcast.h"

namespace mcu::kernels {

struct DivParams {
    Broadcast space;
    int32_t first_zero_point;
    int32_t second_zero_point;
    int32_t zero_point;
    float scale;
};

void div_s8(const DivParams& params, const int8_t* first, const int8_t* second, int8_t* output);
void div_s16(const DivParams& params, const int16_t* first, const int16_t* second, int16_t* output);

}  // namespace mcu::kernels
