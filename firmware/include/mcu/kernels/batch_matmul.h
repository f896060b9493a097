// Products of int8 matrices, the right one given with its columns as rows.
//
//   sum             = sum over k of (left[b][r][k] + left_offset) * (right[b][c][k] + right_offset)
//   output[b][r][c] = clamp(requantize(sum, multiplier, shift) + zero_point, low, high)
//
// Layouts: left [batch][rows][inner], right [batch][columns][inner], output [batch][rows][columns]. Exact
// (requantize.h); sums must fit 32 bits. The Python definition sums in float32 and is the same while sums
// stay below 2^24. Inner loop: one multiply-accumulate at a time. Source: cortex_m::quantized_batch_matmul.

#pragma once

#include <cstdint>

#include "mcu/kernels/requantize.h"

namespace mcu::kernels {

struct BatchMatmulParams {
    int32_t batch;
    int32_t rows;
    int32_t columns;
    int32_t inner;
    int32_t left_offset;
    int32_t right_offset;
    int32_t multiplier;
    int32_t shift;
    OutputEpilogue epilogue;
};

void batch_matmul_s8(const BatchMatmulParams& params, const int8_t* left, const int8_t* right,
                     int8_t* output);

}  // namespace mcu::kernels
