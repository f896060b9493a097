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

// The last step of a sum: by the upper half of its product alone where the shift leaves that out.
class MatmulScaleS16 {
public:
    explicit MatmulScaleS16(const MatmulS16Params& params)
        : scale_(high_scale(params.multiplier, params.shift)), shift_(params.shift) {}

    int16_t operator()(int64_t sum) const {
        return shift_ >= 33 ? saturated_s16(rounded_wide(sum, scale_))
                            : saturated_s16(rounded(sum, scale_.multiplier, shift_));
    }

private:
    HighScale scale_;
    int32_t shift_;
};

void matmul_s16(const MatmulS16Params& params, const int16_t* left, const int16_t* right, int16_t* output);

}  // namespace mcu::kernels
