// Products of float matrices.
//
//   output[b][i][j] = bias[j] + sum over k of first[b, i, k] second[b, k, j]
//
// The operands are read through strides in elements, so that they may be transposed or shared by all batches;
// the output is dense. bias may be null. The sum is taken in the order of k, the bias added last: one
// rounding for each multiplication and addition. One multiply-add for each MAC.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct MatmulF32Params {
    int32_t batches;
    int32_t rows;
    int32_t columns;
    int32_t depth;
    int32_t first_strides[3];   // batch, row, depth
    int32_t second_strides[3];  // batch, depth, column
};

void matmul_f32(const MatmulF32Params& params, const float* first, const float* second, const float* bias,
                float* output);

}  // namespace mcu::kernels
