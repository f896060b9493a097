// The root of norm.h, shared by its kernels: no division and no root of 64 bits from a library.

#pragma once

#include <cstdint>

namespace mcu::kernels {

inline constexpr int32_t kNormalizedBits = 19;

// A factor and the shift to the right that belongs to it.
struct InverseRoot {
    int32_t multiplier;
    int32_t shift;
};

// value / divisor for divisors in [2^30, 2^31) and values below 2^32 times that: two digits of 16 bits, each
// estimated from the divisor's upper half and then put right (Knuth, The Art of Computer Programming, 4.3.1
// D).
inline uint32_t quotient_of(uint64_t value, uint32_t divisor) {
    const uint32_t full = divisor << 1;
    const uint64_t dividend = value << 1;
    const uint32_t upper = full >> 16;
    const uint32_t lower = full & 0xFFFF;
    const auto digit = [upper, lower, full](uint32_t high, uint32_t next, uint32_t& rest) {
        uint32_t found = high / upper;
        uint32_t left = high - found * upper;
        while (left < 0x10000 && (found >= 0x10000 || found * lower > ((left << 16) | next))) {
            --found;
            left += upper;
        }
        rest = (high << 16) + next - found * full;
        return found;
    };
    const auto low = static_cast<uint32_t>(dividend);
    uint32_t rest = 0;
    const uint32_t first = digit(static_cast<uint32_t>(dividend >> 32), low >> 16, rest);
    return (first << 16) + digit(rest, low & 0xFFFF, rest);
}

// floor(sqrt(value)) for values in [2^60, 2^62): a line through the ends, and Newton's steps.
inline uint32_t root_of(uint64_t value) {
    const auto high = static_cast<uint32_t>(value >> 32);
    uint32_t short_root = 0x4000 + ((((high - (1u << 28)) >> 14) * 0x5555) >> 16);
    short_root = (short_root + high / short_root) / 2;
    short_root = (short_root + high / short_root) / 2;
    short_root = short_root < 0x7FFF ? short_root : 0x7FFF;
    const uint32_t near = (short_root << 16) | 0x8000;
    auto found = static_cast<uint32_t>((uint64_t{near} + quotient_of(value, near)) >> 1);
    while (uint64_t{found} * found > value) {
        --found;
    }
    while (uint64_t{found + 1} * (found + 1) <= value) {
        ++found;
    }
    return found;
}

// 2^19 / sqrt(value) for values in [1, 2^62).
inline InverseRoot inverse_root(uint64_t value) {
    const int32_t half = (__builtin_clzll(value) - 2) / 2;
    value <<= 2 * half;
    const uint64_t one = uint64_t{1} << 61;
    const uint32_t root = root_of(value);
    // 2^31 is 2^30 shifted by one less: 32 bits hold the factor.
    const int32_t ones = root == 1u << 30 ? 1 : 0;
    const uint32_t factor = quotient_of(one, root);
    return {static_cast<int32_t>(factor >> ones), 61 - kNormalizedBits - half - ones};
}

}  // namespace mcu::kernels
