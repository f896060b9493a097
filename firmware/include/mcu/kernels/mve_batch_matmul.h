// Products of int8 matrices on Helium: batch_matmul.h, with the requantization of mve_conv2d.h.
//
//   sum = sum over k of left * right, and left_offset * (sum of the column) + right_offset * (sum of the row)
//         + inner * left_offset * right_offset
//
// Layouts: those of batch_matmul.h. Four columns are computed at once for every row; what they have in common
// for all rows is computed once. Inner loop: 11 instructions for 64 products.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct MveBatchMatmulParams {
    int32_t batch;
    int32_t rows;
    int32_t columns;
    int32_t inner;
    int32_t left_offset;
    int32_t right_offset;
    int32_t multiplier;
    int32_t addend;
    int32_t shift;
    bool half_away;
};

void mve_batch_matmul_s8(const MveBatchMatmulParams& params, const int8_t* left, const int8_t* right,
                         int8_t* output);

}  // namespace mcu::kernels
