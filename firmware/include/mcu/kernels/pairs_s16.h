// Sum and product of two int16 tensors with scales of their own.
//
//   add_s16: output = clamp((a * first_multiplier + b * second_multiplier + 2^(shift - 1)) >> shift, low,
//   high) mul_s16: output = clamp(rounded(a * b, multiplier, shift), low, high)
//
// Operands in any memory layout, broadcast (broadcast.h). The sum of add_s16 fits 32 bits; its shift may be
// 0, and a multiplier negative: a subtraction. Exact (round_s16.h), equal to mcu_build::add_s16 and mul_s16.

#pragma once

#include "mcu/kernels/broadcast.h"
#include "mcu/kernels/round_s16.h"

namespace mcu::kernels {

struct AddS16Params {
    Broadcast space;
    int32_t first_multiplier;
    int32_t second_multiplier;
    int32_t shift;
    BoundsS16 bounds;
};

struct MulS16Params {
    Broadcast space;
    int32_t multiplier;
    int32_t shift;
    BoundsS16 bounds;
};

void add_s16(const AddS16Params& params, const int16_t* first, const int16_t* second, int16_t* output);
void mul_s16(const MulS16Params& params, const int16_t* first, const int16_t* second, int16_t* output);

}  // namespace mcu::kernels
