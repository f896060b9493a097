// Arithmetic of pairs of plain (not quantized) numbers, broadcast (broadcast.h).
//
//   add a + b    sub a - b    mul a b    div a / b    pow a^b    atan2 angle of (b, a)
//   div_trunc   a / b rounded towards zero       fmod       a - b div_trunc(a, b), of the sign of a
//   div_floor   a / b rounded down               remainder  a - b div_floor(a, b), of the sign of b
//
// Floats: one rounding for each operation; div_floor is computed from fmod, which is exact, as in PyTorch.
// Integers keep the low bits of the result; where b is 0, for which PyTorch raises an error, a quotient is 0
// and a remainder is a. pow of integers with b < 0 is the power rounded towards 0 (0 where a is 0).
//
//   shift_left  a 2^b    shift_right  a / 2^b rounded down; all bits leave where b is not a bit's number

#pragma once

#include <cstdint>

#include "mcu/kernels/broadcast.h"

namespace mcu::kernels {

struct PairParams {
    Broadcast space;
};

#define MCU_PAIR(name, type) \
    void name(const PairParams& params, const type* first, const type* second, type* output);
MCU_PAIR(add_f32, float)
MCU_PAIR(sub_f32, float)
MCU_PAIR(mul_f32, float)
MCU_PAIR(div_f32, float)
MCU_PAIR(pow_f32, float)
MCU_PAIR(atan2_f32, float)

#define MCU_PAIR_DIVISION(suffix, type) \
    MCU_PAIR(div_trunc_##suffix, type)  \
    MCU_PAIR(div_floor_##suffix, type)  \
    MCU_PAIR(fmod_##suffix, type)       \
    MCU_PAIR(remainder_##suffix, type)
MCU_PAIR_DIVISION(f32, float)

#define MCU_PAIR_BITS(suffix, type)      \
    MCU_PAIR(bitwise_and_##suffix, type) \
    MCU_PAIR(bitwise_or_##suffix, type)  \
    MCU_PAIR(bitwise_xor_##suffix, type)
MCU_PAIR_BITS(bool, bool)

#define MCU_PAIR_INTEGER(suffix, type)   \
    MCU_PAIR(add_wrap_##suffix, type)    \
    MCU_PAIR(sub_wrap_##suffix, type)    \
    MCU_PAIR(mul_wrap_##suffix, type)    \
    MCU_PAIR(pow_##suffix, type)         \
    MCU_PAIR(shift_left_##suffix, type)  \
    MCU_PAIR(shift_right_##suffix, type) \
    MCU_PAIR_DIVISION(suffix, type)      \
    MCU_PAIR_BITS(suffix, type)
MCU_PAIR_INTEGER(s8, int8_t)
MCU_PAIR_INTEGER(s16, int16_t)
MCU_PAIR_INTEGER(s32, int32_t)
MCU_PAIR_INTEGER(s64, int64_t)
#undef MCU_PAIR_INTEGER
#undef MCU_PAIR_BITS
#undef MCU_PAIR_DIVISION
#undef MCU_PAIR

}  // namespace mcu::kernels
