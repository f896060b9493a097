// Bits, roundings, square roots and remainders of floats: see math_f32.h.

#pragma once

#include <cstdint>

#include "mcu/kernels/bits.h"

namespace mcu::kernels::math {

#if defined(__ARM_FEATURE_DIRECTED_ROUNDING) && defined(__ARM_FP) && (__ARM_FP & 4)
#define MCU_ROUNDS_IN_HARDWARE
#endif

inline constexpr float kInfinity = __builtin_inff();
inline constexpr float kNan = __builtin_nanf("");
inline constexpr float kLn2 = 0x1.62e43p-1f;
inline constexpr float kPi = 0x1.921fb6p+1f;
inline constexpr float kHalfPi = 0x1.921fb6p+0f;
// What is missing from kHalfPi.
inline constexpr float kHalfPiLow = -0x1.777a5cp-25f;

inline uint32_t bits_of(float x) {
    return bit_cast<uint32_t>(x);
}
inline float from_bits(uint32_t bits) {
    return bit_cast<float>(bits);
}
inline float abs(float x) {
    return from_bits(bits_of(x) & 0x7fffffffu);
}
// The magnitude of `x` with the sign of `sign`: also where a sum has lost the sign of a zero.
inline float with_sign(float x, float sign) {
    return from_bits((bits_of(x) & 0x7fffffffu) | (bits_of(sign) & 0x80000000u));
}
inline bool is_nan(float x) {
    return x != x;
}
inline bool is_inf(float x) {
    return abs(x) == kInfinity;
}

// The nearest integer, half to even.
inline float rint(float x) {
#ifdef MCU_ROUNDS_IN_HARDWARE
    return __builtin_rintf(x);
#else
    // From 2^23 on every float is an integer; below, adding 2^23 rounds to one.
    constexpr float limit = 0x1p23f;
    const float size = abs(x);
    if (!(size < limit)) return x;
    return with_sign((size + limit) - limit, x);
#endif
}

inline float floor(float x) {
#ifdef MCU_ROUNDS_IN_HARDWARE
    return __builtin_floorf(x);
#else
    const float nearest = rint(x);
    return nearest > x ? with_sign(nearest - 1.0f, x) : nearest;
#endif
}

inline float ceil(float x) {
    return -floor(-x);
}

inline float trunc(float x) {
    return with_sign(floor(abs(x)), x);
}

// The square root, correctly rounded: an instruction, or one bit of the result at a time.
inline float sqrt(float x) {
#if !defined(__arm__)
    return __builtin_sqrtf(x);
#elif defined(__ARM_FP) && (__ARM_FP & 4)
    // Of the builtin compilers make a call of sqrtf too, which sets errno, unless they are instructed not to.
    float root;
    __asm__("vsqrt.f32 %0, %1" : "=t"(root) : "t"(x));
    return root;
#else
    uint32_t bits = bits_of(x);
    if (bits << 1 == 0 || bits == 0x7f800000u || is_nan(x)) return x;
    if (bits >> 31 != 0) return kNan;
    int32_t exponent = static_cast<int32_t>(bits >> 23);
    if (exponent == 0) {
        const int32_t shift = __builtin_clz(bits) - 8;
        bits <<= shift;
        exponent = 1 - shift;
    }
    uint32_t rest = (bits & 0x7fffffu) | 0x800000u;
    exponent -= 127;
    if (exponent & 1) rest <<= 1;
    rest <<= 1;
    uint32_t root = 0;
    uint32_t sum = 0;
    for (uint32_t bit = 0x1000000u; bit != 0; bit >>= 1) {
        const uint32_t next = sum + bit;
        if (next <= rest) {
            sum = next + bit;
            rest -= next;
            root += bit;
        }
        rest <<= 1;
    }
    if (rest != 0) root += root & 1u;
    // Half the exponent, rounded down, and the leading bit of the root, which is 2^24, taken off again.
    return from_bits((root >> 1) + (static_cast<uint32_t>((exponent >> 1) + 126) << 23));
#endif
}

inline float rsqrt(float x) {
    return 1.0f / sqrt(x);
}

// 2^n for n from -126 to 127.
inline float power_of_two(int32_t n) {
    return from_bits(static_cast<uint32_t>(n + 127) << 23);
}

// x 2^n for n from -252 to 254, rounded once where x is neither denormal nor huge.
inline float scale(float x, int32_t n) {
    const int32_t half = n / 2;
    return x * power_of_two(half) * power_of_two(n - half);
}

// The integer nearest to x, half to even, as an integer and as a float: for |x| below 2^22.
struct Nearest {
    int32_t number;
    float value;
};

inline Nearest nearest(float x) {
    constexpr float round = 0x1.8p23f;
    const float moved = x + round;
    return {bit_cast<int32_t>(moved) - bit_cast<int32_t>(round), moved - round};
}

// The rest of a / b rounded towards zero: exact, of the sign of a.
inline float fmod(float a, float b) {
    const float size = abs(a);
    const float by = abs(b);
    if (!(size < kInfinity) || !(by > 0.0f)) return is_nan(a) || is_nan(b) ? a + b : kNan;
    if (size < by) return a;
    const auto parts = [](float x, int32_t& exponent) {
        const uint32_t bits = bits_of(x);
        exponent = static_cast<int32_t>(bits >> 23);
        if (exponent != 0) return (bits & 0x7fffffu) | 0x800000u;
        exponent = 1;
        return bits;
    };
    int32_t exponent;
    int32_t least;
    uint32_t rest = parts(size, exponent);
    const uint32_t divisor = parts(by, least);
    rest %= divisor;
    while (exponent > least && rest != 0) {
        const int32_t step = exponent - least < 8 ? exponent - least : 8;
        rest = (rest << step) % divisor;
        exponent -= step;
    }
    if (rest == 0) return with_sign(0.0f, a);
    // rest 2^(least - 150), exact in two steps as it may be denormal.
    return with_sign(scale(static_cast<float>(rest), least - 150), a);
}

}  // namespace mcu::kernels::math
