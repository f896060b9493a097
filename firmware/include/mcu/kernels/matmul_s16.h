// Products of batches of int16 matrices.
//
//   output[b][r][c] = clamp(rounded(sum over i of left[b][r][i] * right[b][c][i], multiplier, shift))
//
// Layouts: left [batch][rows][inner], right [batch][columns][inner], output [batch][rows][columns]. Sums have
// 64 bits. Exact (round_s16.h), equal to mcu_build::matmul_s16. Inner loop: one multiply-accumulate at a
// time.

#pragma once

#include "mcu/kernels/round_s16.h"

namespace mcu::kernels {

struct MatmulS16Params {
    int32_t batch;
    int32_t rows;
    int32_t columns;
    int32_t inner;
    int32_t multiplier;
    int32_t shift;
};

void matmul_s16(const MatmulS16Params& params, const int16_t* left, const int16_t* right, int16_t* output);

}  // namespace mcu::kernels
