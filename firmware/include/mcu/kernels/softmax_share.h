// The quotient of softmax.h, shared by its kernels, and the logarithm of those of log_softmax.

#pragma once

#include <cstdint>

namespace mcu::kernels {

// How far to shift `sum`, and parts of it, to leave 24 bits of it at most.
inline int32_t excess_bits(uint64_t sum) {
    int32_t bits = 0;
    for (; sum >= 1u << 24; sum >>= 1) {
        ++bits;
    }
    return bits;
}

// round_half_even(256 * part / sum), 256 for all parts from `sum` on. `excess` bits less leave 24 bits of the
// sum at most, whose quotient is the true one or one beside it: a 64-bit division from a library takes 750
// bytes of flash.
inline int32_t softmax_share(uint64_t part, uint64_t sum, int32_t excess) {
    if (part >= sum) {
        return 256;
    }
    const uint32_t leading = static_cast<uint32_t>(part >> excess) << 8;
    auto quotient = static_cast<int32_t>(leading / static_cast<uint32_t>(sum >> excess));
    const auto whole = static_cast<int64_t>(sum);
    int64_t rest = static_cast<int64_t>(part << 8) - quotient * whole;
    if (rest < 0) {
        --quotient;
        rest += whole;
    } else if (rest >= whole) {
        ++quotient;
        rest -= whole;
    }
    const bool up = 2 * rest > whole || (2 * rest == whole && quotient % 2 != 0);
    return quotient + (up ? 1 : 0);
}

// log2(value / 2^31) with 16 bits behind the point, for a value from 2^31, by squaring.
inline int64_t log2_of(uint64_t value) {
    int64_t result = 0;
    for (; value >= uint64_t{1} << 32; value >>= 1) {
        ++result;
    }
    for (int32_t bit = 0; bit < 16; ++bit) {
        value = value * value >> 31;
        const auto above = static_cast<int32_t>(value >> 32);
        value >>= above;
        result = 2 * result + above;
    }
    return result;
}

}  // namespace mcu::kernels
