// Fully connected layer of int8, one multiplier for all outputs.
//
//   sum          = bias[o] + sum over i of (input[r][i] + input_offset) * (weights[o][i] + filter_offset)
//   output[r][o] = clamp(requantize(sum, multiplier, shift) + zero_point, low, high)
//
// Layouts: input [rows][inputs], weights [outputs][inputs], output [rows][outputs]. `bias` may be null. A
// program that carries kernel sums (bias plus input offset times the weights) passes them as `bias`, with an
// input offset of 0. Exact (requantize.h); sums must fit 32 bits. Inner loop: one multiply-accumulate at a
// time. Source: cortex_m::quantized_linear.

#pragma once

#include <cstdint>

#include "mcu/kernels/requantize.h"

namespace mcu::kernels {

struct LinearParams {
    int32_t rows;
    int32_t inputs;
    int32_t outputs;
    int32_t input_offset;
    int32_t filter_offset;
    int32_t multiplier;
    int32_t shift;
    OutputEpilogue epilogue;
};

void linear_s8(const LinearParams& params, const int8_t* input, const int8_t* weights, const int32_t* bias,
               int8_t* output);

}  // namespace mcu::kernels
