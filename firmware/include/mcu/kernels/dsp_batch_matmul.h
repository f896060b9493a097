// Products of int8 matrices with SMLAD: what batch_matmul.h computes.
//
//   output = requantize(2 * sum of (left + left_offset) * (right + right_offset)), see dsp_requantize.h: the
//   form `half_away`
//
// Four rows of the left matrix are widened to int16 with their offset, into `im2col`, then each column runs
// over them. The last four rows end with the last row, so some are made twice; fewer than four rows are
// filled up with the last. `im2col`, 32 bytes for four products:
//   [four products][row][halfwords: products 0, 2; 1, 3]
// with zeros behind the last product. Layouts of the matrices are those of batch_matmul.h. Exact where the
// constants pass dsp_requantize.h's limits. Inner loop: 18 instructions for 16 products.

#pragma once

#include <cstdint>

#include "mcu/kernels/dsp_requantize.h"

namespace mcu::kernels {

struct DspBatchMatmulParams {
    int32_t batch;
    int32_t rows;
    int32_t columns;
    int32_t inner;
    int32_t left_offset;
    int32_t right_offset;
    DspScale scale;
};

void dsp_batch_matmul_s8(const DspBatchMatmulParams& params, const int8_t* left, const int8_t* right,
                         int8_t* output, uint8_t* im2col);

}  // namespace mcu::kernels
