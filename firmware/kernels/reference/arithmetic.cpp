#include "mcu/kernels/arithmetic.h"

#include <type_traits>

#include "mcu/kernels/math_f32.h"

namespace mcu::kernels {
namespace {

// In unsigned arithmetic of 64 bits, whose low bits are right for every width and whose overflow is defined.
template <typename Number>
uint64_t wide(Number x) {
    return static_cast<uint64_t>(static_cast<int64_t>(x));
}

template <typename Number>
Number div_trunc(Number a, Number b) {
    if constexpr (std::is_same_v<Number, float>) {
        return math::trunc(a / b);
    } else {
        // The quotient of the most negative number by -1 overflows: its low bits are those of -a.
        if (b == -1) return static_cast<Number>(0 - wide(a));
        return b == 0 ? Number{0} : static_cast<Number>(a / b);
    }
}

template <typename Number>
Number fmod_of(Number a, Number b) {
    if constexpr (std::is_same_v<Number, float>) {
        return math::fmod(a, b);
    } else {
        if (b == -1) return 0;
        return b == 0 ? a : static_cast<Number>(a % b);
    }
}

// Whether rounding towards zero was not rounding down.
template <typename Number>
bool is_above(Number rest, Number b) {
    return rest != 0 && (rest < 0) != (b < 0);
}

template <typename Number>
Number remainder_of(Number a, Number b) {
    const Number rest = fmod_of(a, b);
    return b != 0 && is_above(rest, b) ? static_cast<Number>(rest + b) : rest;
}

float div_floor(float a, float b) {
    if (b == 0.0f) return a / b;
    const float rest = math::fmod(a, b);
    float quotient = (a - rest) / b;
    if (is_above(rest, b)) quotient -= 1.0f;
    if (quotient == 0.0f) return math::with_sign(0.0f, a / b);
    // The quotient is an integer but for its rounding.
    const float below = math::floor(quotient);
    return quotient - below > 0.5f ? below + 1.0f : below;
}

template <typename Number>
Number div_floor(Number a, Number b) {
    const Number quotient = div_trunc(a, b);
    return b != 0 && is_above(fmod_of(a, b), b) ? static_cast<Number>(quotient - 1) : quotient;
}

template <typename Number>
Number power(Number a, Number b) {
    if (b < 0) return a == 1 || (a == -1 && b % 2 == 0) ? Number{1} : a == -1 ? Number{-1} : Number{0};
    uint64_t result = 1;
    uint64_t square = wide(a);
    for (uint64_t left = wide(b); left != 0; left >>= 1) {
        if (left & 1) result *= square;
        square *= square;
    }
    return static_cast<Number>(result);
}

template <typename Number>
bool is_bit(Number b) {
    return b >= 0 && b < static_cast<Number>(8 * sizeof(Number));
}

}  // namespace

#define MCU_PAIR(name, type, expression)                                                       \
    void name(const PairParams& params, const type* first, const type* second, type* output) { \
        for_each_pair(params.space, first, second, output,                                     \
                      [](type a, type b) { return static_cast<type>(expression); });           \
    }

MCU_PAIR(add_f32, float, a + b)
MCU_PAIR(sub_f32, float, a - b)
MCU_PAIR(mul_f32, float, a* b)
MCU_PAIR(div_f32, float, a / b)
MCU_PAIR(pow_f32, float, math::pow(a, b))
MCU_PAIR(atan2_f32, float, math::atan2(a, b))

#define MCU_PAIR_DIVISION(suffix, type)                 \
    MCU_PAIR(div_trunc_##suffix, type, div_trunc(a, b)) \
    MCU_PAIR(div_floor_##suffix, type, div_floor(a, b)) \
    MCU_PAIR(fmod_##suffix, type, fmod_of(a, b))        \
    MCU_PAIR(remainder_##suffix, type, remainder_of(a, b))
MCU_PAIR_DIVISION(f32, float)

#define MCU_PAIR_BITS(suffix, type)            \
    MCU_PAIR(bitwise_and_##suffix, type, a& b) \
    MCU_PAIR(bitwise_or_##suffix, type, a | b) \
    MCU_PAIR(bitwise_xor_##suffix, type, a ^ b)
MCU_PAIR_BITS(bool, bool)

#define MCU_PAIR_INTEGER(suffix, type)                                        \
    MCU_PAIR(add_wrap_##suffix, type, wide(a) + wide(b))                      \
    MCU_PAIR(sub_wrap_##suffix, type, wide(a) - wide(b))                      \
    MCU_PAIR(mul_wrap_##suffix, type, wide(a) * wide(b))                      \
    MCU_PAIR(pow_##suffix, type, power(a, b))                                 \
    MCU_PAIR(shift_left_##suffix, type, is_bit(b) ? wide(a) << b : 0)         \
    MCU_PAIR(shift_right_##suffix, type, is_bit(b) ? a >> b : a < 0 ? -1 : 0) \
    MCU_PAIR_DIVISION(suffix, type)                                           \
    MCU_PAIR_BITS(suffix, type)
MCU_PAIR_INTEGER(s8, int8_t)
MCU_PAIR_INTEGER(s16, int16_t)
MCU_PAIR_INTEGER(s32, int32_t)
MCU_PAIR_INTEGER(s64, int64_t)

}  // namespace mcu::kernels
