// Fully connected layer of int8 on Helium: linear.h without a filter offset, from packed weights. The
// arithmetic is that of mve_conv2d.h, with one multiplier, addend and shift.
//
// Layouts: input [rows][inputs], output [rows][outputs].
//
//   linear        weights [outputs / 4][vectors][4][16], bias [outputs / 4][4], zero for absent outputs and
//                 inputs. 10 instructions for 64 products
//   linear_tiles  outputs a multiple of 8, nothing clamped: by a core that python/mcu_build/kernels/helium/
//                 linear.py emits for a row, with weights and biases in the order in which it reads them. 148
//                 instructions for 1,024 products of 128 inputs
//   row           one row, with a requantization for each output: weights as of linear, scales as of
//                 mve_conv2d.h. 10 instructions for 64 products
//   row_tiles     the same of a multiple of 8 outputs. Weights [outputs / 8] of biases int32[8] and
//                 [vectors][8][16] of outputs 0, 2, 4, 6, 1, 3, 5, 7, then multipliers, addends and shifts
//                 int32[4] of the first four of these, then those of the others. 19 instructions for 128
//                 products
//   rows_tiles    the same of some rows, which is quicker than tiles of four pixels where there are fewer

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct MveLinearParams {
    int32_t rows;
    int32_t inputs;
    int32_t multiplier;
    int32_t addend;
    int32_t shift;
    int32_t outputs;
    bool half_away;
    int32_t low;
    int32_t high;
};

void mve_linear_s8(const MveLinearParams& params, const int8_t* input, const int8_t* weights,
                   const int32_t* bias, int8_t* output);

struct MveRowParams {
    int32_t inputs;
    int32_t outputs;
    bool half_away;
    int32_t low;
    int32_t high;
};

void mve_row_s8(const MveRowParams& params, const int8_t* input, const int8_t* weights, const int32_t* scales,
                int8_t* output);

// The kernel loads it by its order.
struct MveRowTilesParams {
    int32_t inputs;
    int32_t tiles;      // outputs / 8
    int32_t half_away;  // what is added to negative sums: -1 where halves go away from zero, else 0
    int32_t low;
    int32_t high;
};

void mve_row_tiles_s8(const MveRowTilesParams& params, const int8_t* input, const int8_t* weights,
                      int8_t* output);

struct MveRowsTilesParams {
    int32_t rows;
    MveRowTilesParams row;
};

void mve_rows_tiles_s8(const MveRowsTilesParams& params, const int8_t* input, const int8_t* weights,
                       int8_t* output);

// Cores load it by its order.
struct MveLinearTile {
    int32_t multiplier;
    int32_t zero_point;  // as it is before the last shift
    int32_t outputs;
};
using MveLinearCore = void (*)(const MveLinearTile&, const int8_t* input, const int8_t* weights,
                               int8_t* output);

struct MveLinearTilesParams {
    int32_t rows;
    int32_t inputs;
    MveLinearTile tile;
};

void mve_linear_tiles_s8(const MveLinearTilesParams& params, MveLinearCore core, const int8_t* input,
                         const int8_t* weights, int8_t* output);

}  // namespace mcu::kernels
