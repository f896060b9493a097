// Exponentials, logarithms, powers and hyperbolic functions of floats, and the error function: see
// math_f32.h.

#pragma once

#include <cstdint>

#include "mcu/kernels/math_f32_basic.h"

namespace mcu::kernels::math {

// x = n ln 2 + rest, |rest| just above ln 2 / 2 at most.
struct Reduced {
    int32_t n;
    float rest;
};

inline Reduced by_ln2(float x) {
    constexpr float high = 0x1.62e4p-1f;  // 14 bits: n times it is exact
    constexpr float low = 0x1.7f7d1cp-20f;
    const auto [number, n] = nearest(x * 0x1.715476p+0f);
    return {number, (x - n * high) - n * low};
}

inline float exp(float x) {
    if (!(x < 0x1.62e43p+6f)) return is_nan(x) ? x : kInfinity;
    if (x < -104.0f) return 0.0f;
    const auto [n, r] = by_ln2(x);
    float p = 0.00019952438f;
    p = p * r + 0.001393627f;
    p = p * r + 0.008333199f;
    p = p * r + 0.04166645f;
    p = p * r + 0.16666667f;
    p = p * r + 0.5f;
    return scale(p * r * r + r + 1.0f, n);
}

inline float expm1(float x) {
    if (!(x < 0x1.62e43p+6f)) return is_nan(x) ? x : kInfinity;
    if (x < -18.0f) return -1.0f;
    const auto [n, r] = by_ln2(x);
    float p = 2.4981582e-05f;
    p = p * r + 0.00019971875f;
    p = p * r + 0.0013888609f;
    p = p * r + 0.008333177f;
    p = p * r + 0.041666668f;
    p = p * r + 0.16666667f;
    p = p * r + 0.5f;
    const float more = p * r * r;
    if (n == 0) return with_sign(r + more, x);
    // 2^n (e^r - 1) + 2^n - 1
    if (n > 24) return scale(more + r + 1.0f, n);
    const float by = power_of_two(n);
    const float lacking = 1.0f - power_of_two(-n);
    return n > 0 ? (more + (r + lacking)) * by : (more * by + r * by) + (by - 1.0f);
}

// x = 2^exponent (1 + f), f from sqrt(1/2) - 1 to sqrt(2) - 1. x is positive and finite.
struct Split {
    int32_t exponent;
    float f;
};

inline Split split(float x) {
    int32_t exponent = 0;
    if (x < 0x1p-126f) {
        x *= 0x1p24f;
        exponent = -24;
    }
    // 0x3f3504f3 is sqrt(1/2).
    const uint32_t bits = bits_of(x) - 0x3f3504f3u;
    exponent += static_cast<int32_t>(bits) >> 23;
    return {exponent, from_bits((bits & 0x7fffffu) + 0x3f3504f3u) - 1.0f};
}

// log(1 + f) - f
inline float log_more(float f) {
    const float square = f * f;
    float p = 0.06732506f;
    p = p * f - 0.116609275f;
    p = p * f + 0.1188655f;
    p = p * f - 0.12408175f;
    p = p * f + 0.1422019f;
    p = p * f - 0.16667855f;
    p = p * f + 0.20002075f;
    p = p * f - 0.25000012f;
    p = p * f + 0.33333313f;
    return p * f * square - 0.5f * square;
}

// Whether the logarithm of x is 0, infinite or no number, which `result` is then.
inline bool log_special(float x, float& result) {
    if (x > 0.0f && x < kInfinity) return false;
    result = x == 0.0f ? -kInfinity : x < 0.0f ? kNan : x;
    return true;
}

inline float log(float x) {
    float special;
    if (log_special(x, special)) return special;
    const auto [exponent, f] = split(x);
    const auto e = static_cast<float>(exponent);
    return (log_more(f) + e * -0x1.bd0106p-13f + f) + e * 0x1.63p-1f;
}

inline float log2(float x) {
    float special;
    if (log_special(x, special)) return special;
    const auto [exponent, f] = split(x);
    const float more = log_more(f);
    // 1 / ln 2 = 1 + 0.44...
    constexpr float above_one = 0x1.c551dap-2f;
    return more * above_one + f * above_one + more + f + static_cast<float>(exponent);
}

inline float log10(float x) {
    float special;
    if (log_special(x, special)) return special;
    const auto [exponent, f] = split(x);
    const auto e = static_cast<float>(exponent);
    const float more = log_more(f);
    // 1 / ln 10 and log10(2), each as a number of few bits and the rest.
    const float low = (f + more) * 0x1.6f62a4p-11f + e * 0x1.04d428p-12f;
    return low + more * 0x1.bcp-2f + f * 0x1.bcp-2f + e * 0x1.34p-2f;
}

inline float log1p(float x) {
    if (!(x > -1.0f && x < kInfinity)) return x == -1.0f ? -kInfinity : x < -1.0f ? kNan : x;
    const float sum = 1.0f + x;
    // What the sum has lost, exactly.
    const float lost = x > 1.0f ? 1.0f - (sum - x) : x - (sum - 1.0f);
    const auto [exponent, f] = split(sum);
    const auto e = static_cast<float>(exponent);
    return with_sign((log_more(f) + e * -0x1.bd0106p-13f + lost / sum + f) + e * 0x1.63p-1f, x);
}

inline float tanh(float x) {
    const float size = abs(x);
    if (size < 0.625f) {
        const float z = x * x;
        float p = -0.005700092f;
        p = p * z + 0.020634118f;
        p = p * z - 0.05373794f;
        p = p * z + 0.13331416f;
        p = p * z - 0.3333328f;
        return with_sign(p * z * x + x, x);
    }
    if (is_nan(x)) return x;
    if (size > 9.1f) return with_sign(1.0f, x);
    return with_sign(1.0f - 2.0f / (exp(size + size) + 1.0f), x);
}

// 1 / (1 + e^-x)
inline float sigmoid(float x) {
    const float power = exp(-abs(x));
    return (x < 0.0f ? power : 1.0f) / (1.0f + power);
}

inline float erf(float x) {
    const float size = abs(x);
    if (size < 0.9277f) {
        const float z = x * x;
        float p = -0.0005980214f;
        p = p * z + 0.004991762f;
        p = p * z - 0.026766231f;
        p = p * z + 0.11281827f;
        p = p * z - 0.37612498f;
        p = p * z + 0.12837915f;
        return p * x + x;
    }
    if (is_nan(x)) return x;
    if (size > 4.0f) return with_sign(1.0f, x);
    // 1 - e^-(size + p size)
    float p = 1.1233752e-05f;
    p = p * size - 0.0003228313f;
    p = p * size + 0.0036425823f;
    p = p * size - 0.023762347f;
    p = p * size + 0.10623723f;
    p = p * size + 0.6351511f;
    p = p * size + 0.12864855f;
    return with_sign(1.0f - exp(-(p * size + size)), x);
}

// e^x / 2 for x from 0, where e^x itself may be too large.
inline float half_exp(float x) {
    if (x < 88.0f) return 0.5f * exp(x);
    const float root = exp(0.5f * x);
    return 0.5f * root * root;
}

inline float sinh(float x) {
    const float size = abs(x);
    if (size < 1.0f) {
        const float z = x * x;
        float p = 2.783925e-06f;
        p = p * z + 0.00019842635f;
        p = p * z + 0.008333311f;
        p = p * z + 0.16666667f;
        return p * z * x + x;
    }
    if (is_nan(x)) return x;
    const float half = half_exp(size);
    return with_sign(half - 0.25f / half, x);
}

inline float cosh(float x) {
    if (is_nan(x)) return x;
    const float half = half_exp(abs(x));
    return half + 0.25f / half;
}

inline float asinh(float x) {
    const float size = abs(x);
    if (!(size < 0x1p14f)) return is_nan(x) ? x : with_sign(log(size) + kLn2, x);
    if (size > 2.0f) return with_sign(log(2.0f * size + 1.0f / (sqrt(size * size + 1.0f) + size)), x);
    const float square = size * size;
    return with_sign(log1p(size + square / (1.0f + sqrt(1.0f + square))), x);
}

inline float acosh(float x) {
    if (!(x >= 1.0f)) return is_nan(x) ? x : kNan;
    if (x >= 0x1p14f) return log(x) + kLn2;
    if (x > 2.0f) return log(2.0f * x - 1.0f / (x + sqrt(x * x - 1.0f)));
    const float above = x - 1.0f;
    return log1p(above + sqrt(2.0f * above + above * above));
}

inline float atanh(float x) {
    const float size = abs(x);
    if (!(size <= 1.0f)) return is_nan(x) ? x : kNan;
    if (size < 0.5f) {
        const float twice = size + size;
        return with_sign(0.5f * log1p(twice + twice * size / (1.0f - size)), x);
    }
    return with_sign(0.5f * log1p((size + size) / (1.0f - size)), x);
}

// A number as the sum of two floats.
struct Pair {
    float high;
    float low;
};

// The upper 12 bits of a number, so that products of two such numbers are exact.
inline float upper_half(float x) {
    return from_bits(bits_of(x) & 0xfffff000u);
}

// a + b exactly, |a| at least |b|.
inline Pair exact_sum(float a, float b) {
    const float sum = a + b;
    return {sum, b - (sum - a)};
}

// a b exactly, unless a part of it is denormal.
inline Pair exact_product(float a, float b) {
    const float a_high = upper_half(a);
    const float b_high = upper_half(b);
    const float a_low = a - a_high;
    const float b_low = b - b_high;
    const float product = a * b;
    return {product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low};
}

// log2(x) to some 36 bits, for a positive finite x.
inline Pair log2_pair(float x) {
    // For each sixteenth of 1 + f from 11/16 on: a number near its reciprocal, and minus its log2.
    struct Entry {
        float inverse;
        float high;
        float low;
    };
    constexpr Entry kTable[] = {
        {1.46875f, -0x1.1bf4p-1f, 0x1.dc2d46p-18f}, {1.34375f, -0x1.b48p-2f, 0x1.408c78p-18f},
        {1.21875f, -0x1.244p-2f, -0x1.eac382p-20f}, {1.15625f, -0x1.acfp-3f, -0x1.78b6d4p-17f},
        {1.0625f, -0x1.664p-4f, 0x1.20a6dep-21f},   {1.0f, 0.0f, 0.0f},
        {0.9375f, 0x1.7d6p-4f, 0x1.25b3eep-22f},    {0.875f, 0x1.8a9p-3f, -0x1.9fd502p-17f},
        {0.84375f, 0x1.f6p-3f, -0x1.3ab7cep-18f},   {0.8125f, 0x1.32cp-2f, -0x1.1c8f12p-22f},
        {0.75f, 0x1.a9p-2f, -0x1.a39fbep-20f},      {0.71875f, 0x1.e7ep-2f, -0x1.40358ep-19f},
        {0.6875f, 0x1.14c4p-1f, 0x1.60fe68p-17f},
    };
    const auto [exponent, f] = split(x);
    const float m = 1.0f + f;
    const Entry& entry = kTable[static_cast<int32_t>(m * 16.0f + 0.5f) - 11];
    // m inverse - 1, exactly: the inverse has six bits.
    const float m_high = upper_half(m);
    const auto [g, g_low] = exact_sum(m_high * entry.inverse - 1.0f, (m - m_high) * entry.inverse);
    // ln(1 + g) = g - g^2 / 2 + g^3 p
    float p = 0.1443029f;
    p = p * g - 0.16747582f;
    p = p * g + 0.1999935f;
    p = p * g - 0.24999881f;
    p = p * g + 0.33333334f;
    const auto [square, square_low] = exact_product(g, g);
    const Pair first = exact_sum(g, -0.5f * square);
    const float rest = p * g * square - 0.5f * square_low + g_low - g * g_low + first.low;
    const Pair natural = exact_sum(first.high, rest);
    // Times 1 / ln 2 = 1.442695 + 1.9e-8
    constexpr float inverse = 0x1.715476p+0f;
    const auto [product, product_low] = exact_product(natural.high, inverse);
    const float small = product_low + natural.high * 0x1.4ae0cp-26f + natural.low * inverse;
    const Pair whole = exact_sum(static_cast<float>(exponent) + entry.high, product);
    if (exponent == 0 && entry.inverse == 1.0f) return exact_sum(product, small);
    return exact_sum(whole.high, whole.low + (small + entry.low));
}

// 2^(high + low), |low| below half a unit in the last place of high.
inline float exp2_of(Pair power) {
    if (power.high >= 128.0f) return kInfinity;
    if (power.high < -151.0f) return 0.0f;
    const auto [number, n] = nearest(power.high);
    const float r = (power.high - n) + power.low;
    float p = 0.00015460972f;
    p = p * r + 0.0013392227f;
    p = p * r + 0.009618067f;
    p = p * r + 0.055503573f;
    p = p * r + 0.2402265f;
    p = p * r + 0.6931472f;
    return scale(p * r + 1.0f, number);
}

inline float exp2(float x) {
    return is_nan(x) ? x : exp2_of({x, 0.0f});
}

// x^y for a positive finite x.
inline float pow_positive(float x, float y) {
    // Beyond 2^32 the power is 0, 1 or infinite.
    constexpr float limit = 0x1p32f;
    if (abs(y) > limit) y = with_sign(limit, y);
    const Pair logarithm = log2_pair(x);
    const Pair product = exact_product(logarithm.high, y);
    return exp2_of(exact_sum(product.high, product.low + logarithm.low * y));
}

inline float pow(float x, float y) {
    if (x == 1.0f || y == 0.0f) return 1.0f;
    if (is_nan(x) || is_nan(y)) return x + y;
    const float size = abs(x);
    if (is_inf(y)) {
        if (size == 1.0f) return 1.0f;
        return (size > 1.0f) == (y > 0.0f) ? kInfinity : 0.0f;
    }
    const bool whole = trunc(y) == y;
    const bool odd = whole && abs(y) < 0x1p24f && (static_cast<int32_t>(y) & 1) != 0;
    const float sign = odd ? x : 1.0f;
    if (size == 0.0f || is_inf(x)) return with_sign((size == 0.0f) == (y > 0.0f) ? 0.0f : kInfinity, sign);
    if (x < 0.0f && !whole) return kNan;
    return with_sign(pow_positive(size, y), sign);
}

}  // namespace mcu::kernels::math
