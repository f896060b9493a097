// Functions of one integer: output[i] = f(input[i]).
//
//   abs, neg     the most negative value stays what it is
//   sign         -1, 0 or 1
//   bitwise_not  ~x; of a bool its opposite
//
// Exact.

#pragma once

#include <cstdint>

#include "mcu/kernels/unary_f32.h"

namespace mcu::kernels {

#define MCU_UNARY_INT(suffix, type)                                                 \
    void abs_##suffix(const UnaryParams& params, const type* input, type* output);  \
    void neg_##suffix(const UnaryParams& params, const type* input, type* output);  \
    void sign_##suffix(const UnaryParams& params, const type* input, type* output); \
    void bitwise_not_##suffix(const UnaryParams& params, const type* input, type* output);
MCU_UNARY_INT(s8, int8_t)
MCU_UNARY_INT(s16, int16_t)
MCU_UNARY_INT(s32, int32_t)
MCU_UNARY_INT(s64, int64_t)
#undef MCU_UNARY_INT

void bitwise_not_bool(const UnaryParams& params, const bool* input, bool* output);

}  // namespace mcu::kernels
