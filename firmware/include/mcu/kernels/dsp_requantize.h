// Requantization on cores with SMMLAR, shared by the kernels of dsp/: equal to to_int8 of requantize.h, bit
// for bit, for the constants that kernels/dsp/requantize.py lets pass.
//
//   doubled = 2 * (sum + bias)
//   high    = (doubled * multiplier + 2^31) >> 32 + addend         addend = (zero_point << shift) + half
//   output  = saturate(high >> shift)                              half   = 1 << (shift - 1)
//
// Ties of negative numbers go down: `half_away` adds -1 to the addend where the sum is negative. Where the
// zero point is at the low clamp (a ReLU) every negative number becomes the zero point and ties do not
// matter.
//
// Exact where |doubled| < 2^31, |high| < 2^31, 1 <= shift <= 31 (relu: 0 too), and 0 <= multiplier < 2^31.
// Five instructions (relu), six (half_away), and a comparison with either end (bounded).

#pragma once

#include <cstdint>

namespace mcu::kernels {

// Constants of one output channel, as they lie between packed weights.
struct DspScale {
    int32_t doubled_bias;
    int32_t multiplier;
    int32_t addend;
    int32_t shift;
};

// What the bounded form clamps to; the others clamp to -128 and 127.
struct DspBounds {
    int32_t low;
    int32_t high;
};

}  // namespace mcu::kernels
