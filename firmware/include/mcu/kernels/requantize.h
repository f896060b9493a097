// Fixed-point requantization, shared by the integer kernels.
//
//   requantize(v, m, s) = round_shift((v * 2^max(s, 0) * m + 2^30) >> 31, max(-s, 0))
//
// round_shift rounds half away from zero: this arithmetic rounds twice, as CMSIS-NN does. Exact for every
// shift: 64-bit integers that wrap, the result cut to 32 bits, as in requantize_cmsis of the exporter's
// passes_utils.py. Shifts of more than 63 either way act as in torch: left gives 0, right the sign's
// rounding.

#pragma once

#include <cstdint>

namespace mcu::kernels {

inline int32_t requantize(int32_t value, int32_t multiplier, int32_t shift) {
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t right = shift < -63 ? 63 : (shift < 0 ? -shift : 0);
    // Unsigned, so that a large left shift wraps.
    const uint64_t raised = left < 64 ? static_cast<uint64_t>(static_cast<int64_t>(value)) << left : 0;
    const uint64_t product = raised * static_cast<uint64_t>(static_cast<int64_t>(multiplier));
    const int64_t high = static_cast<int64_t>(product + (uint64_t{1} << 30)) >> 31;
    if (right == 0) {
        return static_cast<int32_t>(high);
    }
    const int64_t mask = static_cast<int64_t>((uint64_t{1} << right) - 1);
    const int64_t result = high >> right;
    const int64_t threshold = (mask >> 1) + (result < 0 ? 1 : 0);
    return static_cast<int32_t>(result + ((high & mask) > threshold ? 1 : 0));
}

inline int32_t clamp(int32_t value, int32_t low, int32_t high) {
    return value < low ? low : (value > high ? high : value);
}

// Adds as int32 tensors do: around the end.
inline int32_t wrapping_add(int32_t a, int32_t b) {
    return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}

// Where an integer kernel's result goes.
struct OutputEpilogue {
    int32_t zero_point;
    int32_t activation_min;
    int32_t activation_max;
};

// The last step of an integer kernel: requantize an accumulator, move it to the output's zero point, clamp.
inline int8_t to_int8(int32_t accumulator, int32_t multiplier, int32_t shift,
                      const OutputEpilogue& epilogue) {
    const int32_t moved = wrapping_add(requantize(accumulator, multiplier, shift), epilogue.zero_point);
    return static_cast<int8_t>(clamp(moved, epilogue.activation_min, epilogue.activation_max));
}

}  // namespace mcu::kernels
