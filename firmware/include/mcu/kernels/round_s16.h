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

template <typename Integer>
inline int16_t bounded_s16(Integer value, const BoundsS16& bounds) {
    return static_cast<int16_t>(value < bounds.low ? bounds.low
                                                   : (value > bounds.high ? bounds.high : value));
}

template <typename Integer>
inline int16_t saturated_s16(Integer value) {
    return bounded_s16(value, {-32768, 32767});
}

inline int64_t rounded(int64_t sum, int32_t multiplier, int32_t shift) {
    return rounded_shift(sum * multiplier, shift);
}

// The last step of a layer.
inline int16_t to_int16(int64_t sum, int32_t multiplier, int32_t shift, const BoundsS16& bounds) {
    return bounded_s16(rounded(sum, multiplier, shift), bounds);
}

// (a * b) >> 32, cut off. Armv6-M multiplies 32 bits by 32 to 32: four products of halves.
inline int32_t high_product(int32_t a, int32_t b) {
#if defined(__thumb__) && !defined(__thumb2__)
    const uint32_t a_low = static_cast<uint32_t>(a) & 0xFFFF;
    const uint32_t b_low = static_cast<uint32_t>(b) & 0xFFFF;
    const int32_t a_high = a >> 16;
    const int32_t b_high = b >> 16;
    const int32_t middle = a_high * static_cast<int32_t>(b_low) + static_cast<int32_t>((a_low * b_low) >> 16);
    const int32_t other = static_cast<int32_t>(a_low) * b_high + (middle & 0xFFFF);
    return a_high * b_high + (middle >> 16) + (other >> 16);
#else
    return static_cast<int32_t>((static_cast<int64_t>(a) * b) >> 32);
#endif
}

// A multiplier and a shift of sums of 32 bits of whose products the high half is enough.
struct HighScale {
    int32_t multiplier;
    int32_t left;
    int32_t half;
    int32_t right;
};

inline HighScale high_scale(int32_t multiplier, int32_t shift) {
    const int32_t left = shift < 33 ? 33 - shift : 0;
    const int32_t right = shift + left - 32;
    return {multiplier, left, (1 << right) >> 1, right};
}

// Whether sums up to `largest` are left 32 bits as they are shifted.
inline bool fits_high_scale(int32_t largest, int32_t shift) {
    return shift >= 33 || (shift > 2 && largest <= INT32_MAX >> (33 - shift));
}

// rounded(sum, multiplier, shift) in 32 bits.
inline int32_t rounded_high(int32_t sum, const HighScale& scale) {
    const auto moved = static_cast<int32_t>(static_cast<uint32_t>(sum) << scale.left);
    return (high_product(moved, scale.multiplier) + scale.half) >> scale.right;
}

// rounded(sum, multiplier, shift) of a sum of 64 bits by a shift from 33 on, where it is high_scale's.
inline int32_t rounded_wide(int64_t sum, const HighScale& scale) {
    const uint64_t low = uint64_t{static_cast<uint32_t>(sum)} * static_cast<uint32_t>(scale.multiplier);
    const uint32_t upper = static_cast<uint32_t>(sum >> 32) * static_cast<uint32_t>(scale.multiplier);
    return (static_cast<int32_t>(upper + static_cast<uint32_t>(low >> 32)) + scale.half) >> scale.right;
}

// Sums of 32 bits with shifts from 33 on.
inline int16_t high_to_int16(int32_t sum, int32_t multiplier, int32_t shift, const BoundsS16& bounds) {
    return bounded_s16((high_product(sum, multiplier) + (1 << (shift - 33))) >> (shift - 32), bounds);
}

}  // namespace mcu::kernels
