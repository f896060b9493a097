// Sines, cosines, tangents and their inverses of floats: see math_f32.h.

#pragma once

#include <cstdint>

#include "mcu/kernels/math_f32_basic.h"

namespace mcu::kernels::math {

// x = quadrant pi / 2 + rest, |rest| at most pi / 4; x is finite.
struct Turned {
    uint32_t quadrant;
    float rest;
};

inline Turned by_half_pi(float x) {
    // 2 / pi after the point, behind 32 zeros.
    constexpr uint32_t kDigits[] = {0x00000000, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0,
                                    0xdb629599, 0x3c439041, 0xfe5163ab, 0xdebbc561};
    const float size = abs(x);
    if (size <= 0x1.921fb6p-1f) return {0, x};
    const uint32_t bits = bits_of(size);
    const uint32_t mantissa = (bits & 0x7fffffu) | 0x800000u;
    // size = mantissa 2^(start - 30): digits above `start` give multiples of four only.
    const auto start = static_cast<uint32_t>(static_cast<int32_t>(bits >> 23) - 150 + 30);
    const uint32_t* const from = kDigits + start / 32;
    const uint32_t shift = start % 32;
    const auto word = [&](int i) {
        return shift == 0 ? from[i] : from[i] << shift | from[i + 1] >> (32 - shift);
    };
    // size 2 / pi modulo four, in units of 2^-62.
    uint64_t turns = static_cast<uint64_t>(mantissa * word(0)) << 32;
    turns += static_cast<uint64_t>(mantissa) * word(1);
    turns += static_cast<uint64_t>(mantissa) * word(2) >> 32;
    const auto quadrant = static_cast<uint32_t>((turns + (uint64_t{1} << 61)) >> 62);
    turns -= static_cast<uint64_t>(quadrant) << 62;
    const bool below = turns >> 63 != 0;
    if (below) turns = 0 - turns;
    const int32_t zeros = __builtin_clzll(turns | 1u);
    const auto leading = static_cast<uint32_t>(turns << zeros >> 32);
    constexpr uint32_t kQuarterPi = 0xc90fdaa2;  // pi / 4 after the point
    const uint64_t product = static_cast<uint64_t>(leading) * kQuarterPi;
    const float rest = static_cast<float>(static_cast<uint32_t>(product >> 32)) * power_of_two(-29 - zeros);
    const bool negative = below != (x < 0.0f);
    return {x < 0.0f ? 0u - quadrant : quadrant, negative ? -rest : rest};
}

inline float sin_near_zero(float r) {
    const float z = r * r;
    float p = 2.8307768e-06f;
    p = p * z - 0.00019852981f;
    p = p * z + 0.008333379f;
    p = p * z - 0.16666667f;
    return with_sign(p * z * r + r, r);
}

inline float cos_near_zero(float r) {
    const float z = r * r;
    float p = 2.4430088e-05f;
    p = p * z - 0.0013887298f;
    p = p * z + 0.041666646f;
    return p * z * z - 0.5f * z + 1.0f;
}

// The sine of x + quarters pi / 2.
inline float sin_turned(float x, uint32_t quarters) {
    if (!(abs(x) < kInfinity)) return x - x;
    const auto [quadrant, rest] = by_half_pi(x);
    const uint32_t turned = quadrant + quarters;
    const float found = (turned & 1u) != 0 ? cos_near_zero(rest) : sin_near_zero(rest);
    return (turned & 2u) != 0 ? -found : found;
}

inline float sin(float x) {
    return sin_turned(x, 0);
}

inline float cos(float x) {
    return sin_turned(x, 1);
}

inline float tan(float x) {
    if (!(abs(x) < kInfinity)) return x - x;
    const auto [quadrant, rest] = by_half_pi(x);
    const float z = rest * rest;
    float p = 0.0045309863f;
    p = p * z - 0.00022719653f;
    p = p * z + 0.011088815f;
    p = p * z + 0.021182975f;
    p = p * z + 0.054079555f;
    p = p * z + 0.13332485f;
    p = p * z + 0.33333355f;
    const float found = p * z * rest + rest;
    return (quadrant & 1u) != 0 ? -1.0f / found : found;
}

// The arc sine minus x, for |x| at most 1/2.
inline float asin_more(float x) {
    const float z = x * x;
    float p = 0.042218428f;
    p = p * z + 0.024148887f;
    p = p * z + 0.045476526f;
    p = p * z + 0.0749525f;
    p = p * z + 0.16666754f;
    return p * z * x;
}

inline float asin(float x) {
    const float size = abs(x);
    if (size <= 0.5f) return asin_more(x) + x;
    if (!(size <= 1.0f)) return is_nan(x) ? x : kNan;
    const float half = sqrt(0.5f * (1.0f - size));
    const float twice = 2.0f * (asin_more(half) + half);
    return with_sign(kHalfPi - (twice - kHalfPiLow), x);
}

inline float acos(float x) {
    const float size = abs(x);
    if (size <= 0.5f) return kHalfPi - (x + (asin_more(x) - kHalfPiLow));
    if (!(size <= 1.0f)) return is_nan(x) ? x : kNan;
    const float half = sqrt(0.5f * (1.0f - size));
    const float near = 2.0f * (asin_more(half) + half);
    return x > 0.0f ? near : kPi - (near - 2.0f * kHalfPiLow);
}

// The arc tangent of a number that is not negative, or NaN.
inline float atan_positive(float x) {
    float base = 0.0f;
    float low = 0.0f;
    float t = x;
    if (x > 0x1.3504f4p+1f) {  // tan(3 pi / 8)
        base = kHalfPi;
        low = kHalfPiLow;
        t = -1.0f / x;
    } else if (x > 0x1.a82798p-2f) {  // tan(pi / 8)
        base = 0.5f * kHalfPi;
        low = 0.5f * kHalfPiLow;
        t = (x - 1.0f) / (x + 1.0f);
    }
    const float z = t * t;
    float p = -0.06046273f;
    p = p * z + 0.10581094f;
    p = p * z - 0.14241777f;
    p = p * z + 0.19998375f;
    p = p * z - 0.33333313f;
    return base + (p * z * t + low + t);
}

inline float atan(float x) {
    return with_sign(atan_positive(abs(x)), x);
}

// The angle of the point (x, y).
inline float atan2(float y, float x) {
    if (is_nan(x) || is_nan(y)) return kNan;
    const float up = abs(y);
    const float right = abs(x);
    const bool left = bits_of(x) >> 31 != 0;
    float angle;
    if (up == 0.0f) {
        angle = 0.0f;
    } else if (up == right) {  // both infinite, too
        angle = 0.5f * kHalfPi;
    } else if (up < right) {
        angle = atan_positive(up / right);
    } else {
        angle = kHalfPi - (atan_positive(right / up) - kHalfPiLow);
    }
    if (left) angle = kPi - (angle - 2.0f * kHalfPiLow);
    return with_sign(angle, y);
}

}  // namespace mcu::kernels::math
