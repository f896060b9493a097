// A function of int16 values by straight lines between the entries of a table.
//
//   place  = value + 32768, i = place >> bits, f = place & (2^bits - 1)
//   output = table[i] + (((table[i + 1] - table[i]) * f + 2^(bits - 1)) >> bits)
//
// The table has 2^(16 - bits) + 1 entries, the first for -32768. Exact, equal to mcu_build::lookup_s16.

#pragma once

#include "mcu/kernels/round_s16.h"

namespace mcu::kernels {

struct LookupS16Params {
    int32_t count;
    int32_t bits;
};

void lookup_s16(const LookupS16Params& params, const int16_t* input, const int16_t* table, int16_t* output);

}  // namespace mcu::kernels
