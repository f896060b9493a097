// The instructions of mcu/kernels/dsp_requantize.h.

#pragma once

#include <cstdint>

#include "mcu/kernels/dsp_requantize.h"
#include "mcu/kernels/requantize.h"
#include "words.h"

namespace mcu::kernels::dsp {

enum class Form { kRelu, kHalfAway, kBounded };

// Adds bytes 0 and 2 of a word (odd: 1 and 3), widened, to two sums of 16 bits.
inline int32_t add_even(int32_t sums, int32_t word) {
    int32_t result;
    __asm__("sxtab16 %0, %1, %2" : "=r"(result) : "r"(sums), "r"(word));
    return result;
}
inline int32_t add_odd(int32_t sums, int32_t word) {
    int32_t result;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(sums), "r"(word));
    return result;
}

// The word of one to three bytes, zeros above them.
inline int32_t load_bytes(const int8_t* from, int32_t count) {
    uint32_t word = 0;
#pragma GCC unroll 1
    for (int32_t i = count; i > 0; --i) {
        word = word << 8 | static_cast<uint8_t>(from[i - 1]);
    }
    return static_cast<int32_t>(word);
}

// ((a * b + 2^31) >> 32) + c. An instruction that neither compiler makes of its formula.
inline int32_t high_product(int32_t a, int32_t b, int32_t c) {
    int32_t result;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(c));
    return result;
}

inline int32_t saturate(int32_t value) {
    int32_t result;
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(value));
    return result;
}

// sum + x.low * y.low + x.high * y.high of halfwords.
inline int32_t multiply_add(int32_t x, int32_t y, int32_t sum) {
    int32_t result;
    __asm__("smlad %0, %1, %2, %3" : "=r"(result) : "r"(x), "r"(y), "r"(sum));
    return result;
}

template <Form kForm>
inline int8_t requantize(int32_t doubled, const DspScale& scale, const DspBounds& bounds) {
    const int32_t sign = kForm == Form::kRelu ? 0 : doubled >> 31;
    const int32_t high = high_product(doubled, scale.multiplier, scale.addend + sign) >> scale.shift;
    if constexpr (kForm == Form::kBounded) {
        return static_cast<int8_t>(clamp(high, bounds.low, bounds.high));
    }
    return static_cast<int8_t>(saturate(high));
}

// Twice a sum with its bias: of a channel b, and of the a whose sum is mixed with b's (dsp_conv2d.h).
inline int32_t doubled(int32_t sum, const DspScale& scale) {
    return scale.doubled_bias + sum * 2;
}
// The sum of a, which 256 * a + b and b tell as long as it is less than 2^23: of a part of the products at
// least.
inline int32_t high_sum(int32_t both, int32_t low) {
    return static_cast<int32_t>(static_cast<uint32_t>(both) - static_cast<uint32_t>(low)) >> 8;
}
inline int32_t doubled_high(int32_t both, int32_t low, const DspScale& scale) {
    const uint32_t high = static_cast<uint32_t>(both) - static_cast<uint32_t>(low);
    return scale.doubled_bias + (static_cast<int32_t>(high) >> 7);
}

}  // namespace mcu::kernels::dsp
