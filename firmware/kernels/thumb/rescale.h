// The requantization of mcu/kernels/dsp_rescale.h on cores without SMMLAR.
//
// Armv7-M has SMLAL and SSAT. Armv6-M multiplies 32 bits by 32 to 32: doubled = 65536 * dh + dl with signed
// halves, multiplier = 65536 * mh + ml, and
//   (doubled * multiplier + 2^31) >> 32 = dh * mh + ((dh * ml + dl * mh + ((dl * ml) >> 16) + 2^15) >> 16)
// exactly, where |doubled| < 2^30 - 2^17, so that the sum in brackets stays within 32 bits.

#pragma once

#include <cstdint>

#include "mcu/kernels/dsp_rescale.h"
#include "mcu/kernels/requantize.h"

namespace mcu::kernels::thumb {

enum class Form { kRelu, kTies, kBounded };

// ((doubled * multiplier + 2^31) >> 32) + addend
inline int32_t high_product(int32_t doubled, int32_t multiplier, int32_t addend) {
#if defined(__thumb2__)
    const int64_t rounded = static_cast<int64_t>(addend) * (int64_t{1} << 32) + (int64_t{1} << 31);
    return static_cast<int32_t>((rounded + static_cast<int64_t>(doubled) * multiplier) >> 32);
#else
    const int32_t low = static_cast<int16_t>(doubled);
    const int32_t high = (doubled - low) >> 16;
    const int32_t multiplier_low = multiplier & 0xFFFF;
    const int32_t multiplier_high = multiplier >> 16;
    const int32_t middle =
        high * multiplier_low + low * multiplier_high + ((low * multiplier_low) >> 16) + (1 << 15);
    return high * multiplier_high + (middle >> 16) + addend;
#endif
}

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
inline int8_t rescale(int32_t sum, const DspScale& scale, const DspBounds& bounds) {
    const int32_t doubled = scale.doubled_bias + sum * 2;
    const int32_t sign = kForm == Form::kRelu ? 0 : doubled >> 31;
    const int32_t high = high_product(doubled, scale.multiplier, scale.addend + sign) >> scale.shift;
    if constexpr (kForm == Form::kBounded) {
        return static_cast<int8_t>(clamp(high, bounds.low, bounds.high));
    }
    return static_cast<int8_t>(saturate(high));
}

}  // namespace mcu::kernels::thumb
