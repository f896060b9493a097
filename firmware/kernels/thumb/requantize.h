// The requantization of mcu/kernels/dsp_requantize.h on cores without SMMLAR.
//
// Armv7-M has SMLAL and SSAT. Armv6-M multiplies 32 bits by 32 to 32: doubled = 65536 * dh + dl with signed
// halves, multiplier = 65536 * mh + ml, and
//   (doubled * multiplier + 2^31) >> 32 = dh * mh + ((dh * ml + dl * mh + ((dl * ml) >> 16) + 2^15) >> 16)
// exactly, where |doubled| < 2^30 - 2^17, so that the sum in brackets stays within 32 bits.

#pragma once

#include <cstdint>

#include "mcu/kernels/dsp_requantize.h"
#include "mcu/kernels/requantize.h"

namespace mcu::kernels::thumb {

enum class Form { kRelu, kHalfAway, kBounded };

#if defined(__thumb2__)

// ((((2 * sum + doubled_bias) * multiplier + 2^31) >> 32) + addend) >> shift; `kHalfAway`: of a negative sum,
// one less is shifted.
template <bool kHalfAway>
inline int32_t requantized(int32_t sum, const DspScale& scale) {
    const int32_t doubled = scale.doubled_bias + sum * 2;
    const int32_t addend = scale.addend + (kHalfAway ? doubled >> 31 : 0);
    const int64_t rounded = static_cast<int64_t>(addend) * (int64_t{1} << 32) + (int64_t{1} << 31);
    return static_cast<int32_t>((rounded + static_cast<int64_t>(doubled) * scale.multiplier) >> 32) >>
           scale.shift;
}

#else

// The same in 25 instructions and a call; from C++ both compilers take twice as many. What the sum in
// brackets loses last is the carry that rounds it.
#define THUMB_REQUANTIZE(sign, half_away)                                                                   \
    ".syntax unified\nldr %[t], [%[scale]]\nldr %[m], [%[scale], #4]\nlsls %[s], %[s], #1\nadds %[s], "     \
    "%[t]\n" sign                                                                                           \
    "sxth %[t], %[s]\nsubs %[s], %[s], %[t]\nasrs %[s], %[s], #16\nuxth %[u], %[m]\nlsrs %[m], %[m], #16\n" \
    "mov %[v], %[t]\nmuls %[v], %[u]\nasrs %[v], %[v], #16\nmuls %[t], %[m]\nmuls %[u], %[s]\nmuls %[s], "  \
    "%[m]\n"                                                                                                \
    "adds %[v], %[v], %[t]\nadds %[v], %[v], %[u]\nasrs %[v], %[v], #16\nadcs %[s], %[v]\n"                 \
    "ldr %[t], [%[scale], #8]\nldr %[m], [%[scale], #12]\nadds %[s], %[s], %[t]\n" half_away                \
    "asrs %[s], %[m]\n"

template <bool kHalfAway>
__attribute__((noinline)) int32_t requantized(int32_t sum, const DspScale& scale) {
    int32_t t, m, u, v;
    if constexpr (kHalfAway) {
        __asm__(THUMB_REQUANTIZE("asrs %[t], %[s], #31\nmov r12, %[t]\n", "add %[s], r12\n")
                : [s] "+&l"(sum), [t] "=&l"(t), [m] "=&l"(m), [u] "=&l"(u), [v] "=&l"(v)
                : [scale] "l"(&scale), "m"(scale)
                : "r12", "cc");
    } else {
        __asm__(THUMB_REQUANTIZE("", "")
                : [s] "+&l"(sum), [t] "=&l"(t), [m] "=&l"(m), [u] "=&l"(u), [v] "=&l"(v)
                : [scale] "l"(&scale), "m"(scale)
                : "cc");
    }
    return sum;
}

#undef THUMB_REQUANTIZE
#endif

inline int32_t saturate(int32_t value) {
#if defined(__thumb2__)
    int32_t result;
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(value));
    return result;
#else
    return static_cast<int8_t>(value) == value ? value : (value >> 31) ^ 127;
#endif
}

template <Form kForm>
inline int8_t requantize(int32_t sum, const DspScale& scale, const DspBounds& bounds) {
    const int32_t value = requantized < kForm != Form::kRelu > (sum, scale);
    if constexpr (kForm == Form::kBounded) {
        return static_cast<int8_t>(clamp(value, bounds.low, bounds.high));
    }
    return static_cast<int8_t>(saturate(value));
}

}  // namespace mcu::kernels::thumb
