// Fully connected layer of int16 activations and int8 weights, a multiplier and a shift for each output.
//
//   sum          = bias[o] + sum over i of input[r][i] * weights[o][i]
//   output[r][o] = clamp(rounded(sum, multipliers[o], shifts[o]), low, high)
//
// Layouts: input [rows][inputs], weights [outputs][inputs], output [rows][outputs]. Sums have 32 bits, or 64
// where is_long. Exact (round_s16.h), equal to mcu_build::linear_s16. Inner loop: one multiply-accumulate at
// a time.

#pragma once

#include "mcu/kernels/round_s16.h"

namespace mcu::kernels {

struct LinearS16Params {
    int32_t rows;
    int32_t inputs;
    int32_t outputs;
    bool is_long;
    BoundsS16 bounds;
};

void linear_s16(const LinearS16Params& params, const int16_t* input, const int8_t* weights,
                const int32_t* bias, const int32_t* multipliers, const int32_t* shifts, int16_t* output);

}  // namespace mcu::kernels
