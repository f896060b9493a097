// The one rounding of kernels on int16 activations.
//
//   rounded(sum, m, s) = (sum * m + 2^(s - 1)) >> s          halves up; s from 1 to 62
//
// Multipliers have as many bits as the largest sum leaves: the product is below 2^62, or sums of 32 bits are
// multiplied by 31. Exact, equal to python/mcu_build/arithmetic/int16.py.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct BoundsS16 {
    int32_t low;
    int32_t high;
};

inline int64_t rounded_shift(int64_t value, int32_t shift) {
    return (value + ((int64_t{1} << shift) >> 1)) >> shift;
}

inline int16_t bounded_s16(int64_t value, const BoundsS16& bounds) {
    return static_cast<int16_t>(value < bounds.low ? bounds.low
                                                   : (value > bounds.high ? bounds.high : value));
}

inline int16_t saturated_s16(int64_t value) {
    return bounded_s16(value, {-32768, 32767});
}

inline int64_t rounded(int64_t sum, int32_t multiplier, int32_t shift) {
    return rounded_shift(sum * multiplier, shift);
}

// The last step of a layer.
inline int16_t to_int16(int64_t sum, int32_t multiplier, int32_t shift, const BoundsS16& bounds) {
    return bounded_s16(rounded(sum, multiplier, shift), bounds);
}

// Sums of 32 bits with shifts from 33 on: only the high half of the product counts.
inline int16_t high_to_int16(int32_t sum, int32_t multiplier, int32_t shift, const BoundsS16& bounds) {
    const auto high = static_cast<int32_t>((static_cast<int64_t>(sum) * multiplier) >> 32);
    const int32_t moved = (high + (1 << (shift - 33))) >> (shift - 32);
    return static_cast<int16_t>(moved < bounds.low ? bounds.low
                                                   : (moved > bounds.high ? bounds.high : moved));
}

}  // namespace mcu::kernels
