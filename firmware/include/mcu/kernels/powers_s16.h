// What the kernels of softmax_s16.h share: powers of two, and the share of each in their sum.

#pragma once

#include <cstddef>
#include <cstdint>

#include "mcu/kernels/round_s16.h"

namespace mcu::kernels::powers {

inline constexpr int32_t kOctaveBits = 16;
inline constexpr int32_t kStepBits = 8;  // between two entries of the table
inline constexpr int32_t kInverseBits = 61;
inline constexpr int32_t kShareBits = 15;

// 2^-octaves of what lies `below` the largest value, in units of 2^-30.
class Powers {
public:
    Powers(const int32_t* table, int32_t multiplier, int32_t shift)
        : table_(table),
          multiplier_(multiplier),
          shift_(shift),
          scale_(high_scale(multiplier, shift)),
          is_high_(fits_high_scale(kLargest, shift)) {}

    uint32_t operator()(int32_t below) const {
        const int32_t octaves = is_high_ ? rounded_high(below, scale_) : far(below);
        const int32_t whole = octaves >> kOctaveBits;
        if (whole > 31) {
            return 0;
        }
        const int32_t fraction = octaves & ((1 << kOctaveBits) - 1);
        const int32_t* const entry = table_ + (fraction >> kStepBits);
        const int32_t fall = (entry[1] - entry[0]) * (fraction & ((1 << kStepBits) - 1));
        const auto power = static_cast<uint32_t>(entry[0] + ((fall + (1 << (kStepBits - 1))) >> kStepBits));
        return (power + ((1u << whole) >> 1)) >> whole;
    }

    bool is_high() const { return is_high_; }
    const HighScale& scale() const { return scale_; }
    const int32_t* table() const { return table_; }

private:
    static constexpr int32_t kLargest = 65535;

    int32_t far(int32_t below) const {
        const int64_t octaves = rounded(below, multiplier_, shift_);
        return octaves > INT32_MAX ? INT32_MAX : static_cast<int32_t>(octaves);
    }

    const int32_t* table_;
    int32_t multiplier_;
    int32_t shift_;
    HighScale scale_;
    bool is_high_;
};

// 2^61 / sum. One power at least is 2^30, so that 32 bits hold it; of no power it is not asked.
inline uint32_t inverse_of(int64_t sum) {
    return sum > 0 ? static_cast<uint32_t>((uint64_t{1} << kInverseBits) / static_cast<uint64_t>(sum)) : 0;
}

// In units of 2^-15.
inline int16_t share_of(uint32_t power, uint32_t inverse) {
    constexpr int32_t kRight = kInverseBits - kShareBits - 32;
    const auto high = static_cast<uint32_t>((static_cast<uint64_t>(power) * inverse) >> 32);
    const uint32_t share = (high + (1u << (kRight - 1))) >> kRight;
    return static_cast<int16_t>(share > 32767 ? 32767 : share);
}

// One row: `mask` is null where everything counts.
inline void shares(int32_t count, int32_t stride, const int16_t* input, const uint8_t* mask,
                   const Powers& power, int16_t* output) {
    int32_t highest = -32768;
    for (int32_t i = 0; i < count; ++i) {
        if ((mask == nullptr || mask[i] != 0) && input[i * stride] > highest) {
            highest = input[i * stride];
        }
    }
    int64_t sum = 0;
    for (int32_t i = 0; i < count; ++i) {
        if (mask == nullptr || mask[i] != 0) {
            sum += power(highest - input[i * stride]);
        }
    }
    const uint32_t inverse = inverse_of(sum);
    for (int32_t i = 0; i < count; ++i) {
        const bool counts = mask == nullptr || mask[i] != 0;
        output[i * stride] = counts ? share_of(power(highest - input[i * stride]), inverse) : int16_t{0};
    }
}

}  // namespace mcu::kernels::powers
