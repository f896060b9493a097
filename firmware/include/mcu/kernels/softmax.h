// Softmax of int8 along one dimension, to int8 with scale 2^-(8 + octaves).
//
//   e[d]   = exp(-d * input scale) in units of 2^-31, a table made when the model is built
//   output = clamp(round_half_even(2^(8 + octaves) * e[max - q] / sum of e[max - q]) + zero_point, -128, 127)
//
// Layouts: input and output [outer][axis][inner], the softmax is over `axis`; table of 256 entries, that many
// differences there are. Integers only. The sum is at most axis * 2^31; the table's rounding moves the
// quotient by less than 2^(8 + octaves) * axis * 2^-32, so it is the real softmax's rounding but for values
// that close to a tie. Source: cortex_m::softmax, which computes in float32 and has no octaves. Inner loop: a
// load of the value and one of the table.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct SoftmaxParams {
    int32_t outer;
    int32_t axis;
    int32_t inner;
    int32_t zero_point;
    int32_t octaves;
};

// The table's entries are unsigned numbers of 32 bits, kept in the type that programs have.
void softmax_s8(const SoftmaxParams& params, const int8_t* input, const int32_t* table, int8_t* output);

}  // namespace mcu::kernels
