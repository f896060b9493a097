// Weighted sums of rows and columns of int8 images [batch][height][width][channels]: linear and cubic
// resizing, averages over windows that differ.
//
//   line   = sum over t of column_weights[x][t] * (q[row][column_starts[x] + t] - input_zero_point), rounded
//   to 7
//            bits behind the point
//   output = clamp(requantize(sum over s of row_weights[y][s] * line[row_starts[y] + s]) + output_zero_point,
//            -128, 127)
//
// Weights have 14 bits behind the point; those of one output add up to 2 at most, signs aside, so that 32
// bits hold all sums. Rounding: half of the unit is added before the shift. Exact, equal to
// mcu_build::resample (python/mcu_build/arithmetic/int8.py). Inner loop: a load and a multiply-add for each
// row and column of a run.

#pragma once

#include <cstdint>

#include "mcu/kernels/image.h"

namespace mcu::kernels {

struct ResampleParams {
    int32_t batch;
    ImageSize input;
    ImageSize output;
    Pair taps;  // entries of a row of each table of weights
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t multiplier;
    int32_t shift;
    int32_t first_row;  // of the tables: that of the output's first row
    int32_t above;      // rows that the tables know above the input's first one
};

void resample_s8(const ResampleParams& params, const int8_t* input, const int32_t* row_starts,
                 const int16_t* row_weights, const int32_t* column_starts, const int16_t* column_weights,
                 int8_t* output);

}  // namespace mcu::kernels
