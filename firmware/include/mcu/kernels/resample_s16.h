// Weighted sums of rows and columns of int16 images [batch][height][width][channels]: resizing, averages over
// windows that differ.
//
//   line   = (sum over t of column_weights[x][t] * q[row][column_starts[x] + t] + 2^6) >> 7
//   sum    = sum over s of row_weights[y][s] * line[row_starts[y] + s]
//   output = clamp(rounded(sum, multiplier, shift), low, high)
//
// Weights have 14 bits behind the point; those of one output add up to 2 at most, signs aside: lines take 32
// bits, their sums 64. Exact (round_s16.h), equal to mcu_build::resample_s16. Inner loop: a load and a
// multiply-add for each row and column of a run.

#pragma once

#include "mcu/kernels/image.h"
#include "mcu/kernels/round_s16.h"

namespace mcu::kernels {

struct ResampleS16Params {
    int32_t batch;
    ImageSize input;
    ImageSize output;
    Pair taps;  // entries of a row of each table of weights
    int32_t multiplier;
    int32_t shift;
    BoundsS16 bounds;
};

void resample_s16(const ResampleS16Params& params, const int16_t* input, const int32_t* row_starts,
                  const int16_t* row_weights, const int32_t* column_starts, const int16_t* column_weights,
                  int16_t* output);

}  // namespace mcu::kernels
