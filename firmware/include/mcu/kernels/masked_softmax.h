// Softmax of int8 over what a mask leaves, and the logarithm of softmax.
//
//   e[d]   = exp(-d * input scale) in units of 2^-31, a table of 256 unsigned numbers
//   masked_softmax_s8:  output = clamp(round_half_even(2^(8 + octaves) * e[max - q] / sum) - 128, -128,
//                       127) where the mask is not 0, else -128; max and sum are those of what is not masked
//   log_softmax_s8:     output = clamp(output_zero_point - (((max - q) * step + log2(sum / 2^31) * octave)
//                       >> shift), -128, 127); the logarithm has 16 bits behind the point, the rest is cut
//                       off, the shift rounds: half of its unit is added before
//
// Layouts: input and output [batches][rows][columns], the mask [1 or batches][1 or rows][columns] with
// strides 0 for what it repeats, a byte an element. Exact, equal to mcu_build::masked_softmax and log_softmax
// (python/mcu_build/arithmetic/int8.py). Inner loop: a load of value, mask and table.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct MaskedSoftmaxParams {
    int32_t batches;
    int32_t rows;
    int32_t columns;
    int32_t mask_batch_stride;
    int32_t mask_row_stride;
    int32_t octaves;
};

struct LogSoftmaxParams {
    int32_t rows;
    int32_t columns;
    int32_t step;
    int32_t octave;
    int32_t shift;
    int32_t output_zero_point;
};

// The mask's bytes are bools or int8.
void masked_softmax_s8(const MaskedSoftmaxParams& params, const int8_t* input, const void* mask,
                       const int32_t* table, int8_t* output);
void log_softmax_s8(const LogSoftmaxParams& params, const int8_t* input, const int32_t* table,
                    int8_t* output);

}  // namespace mcu::kernels
