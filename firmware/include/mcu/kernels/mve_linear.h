// Fully connected layer of int8 on Helium: linear.h without a filter offset, from packed weights. The
// arithmetic is that of mve_conv2d.h, with one multiplier, addend and shift.
//
// Layouts: input [rows][inputs], output [rows][outputs].
//
//   linear            weights [outputs / 4][vectors][4][16], bias [outputs / 4][4], zero for absent outputs
//                     and inputs. 10 instructions for 64 products
//   linear_tiles      outputs a multiple of 8, nothing clamped. Weights [outputs / 8] of biases int32[8] and
//                     [vectors][8][16], of outputs 0, 2, 4, 6, 1, 3, 5, 7; zero for absent inputs. 138
//                     instructions for 1,024 products, 21 for 128 of what is no multiple of 128 inputs
//   linear_tiles_128  the same of 128 inputs, of which 5 vectors stay in registers: 132 for 1,024 products
//   row               one row, with a requantization for each output: weights as of linear, scales as of
//                     mve_conv2d.h. 10 instructions for 64 products

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
    bool ties;
    int32_t low;
    int32_t high;
};

void mve_linear_s8(const MveLinearParams& params, const int8_t* input, const int8_t* weights,
                   const int32_t* bias, int8_t* output);

struct MveRowParams {
    int32_t inputs;
    int32_t outputs;
    bool ties;
    int32_t low;
    int32_t high;
};

void mve_row_s8(const MveRowParams& params, const int8_t* input, const int8_t* weights, const int32_t* scales,
                int8_t* output);

// The kernels load it by its order.
struct MveLinearTilesParams {
    int32_t rows;
    int32_t inputs;
    int32_t multiplier;
    int32_t addend;
    int32_t shift;
    int32_t last_tile;  // outputs / 8 - 1; with ties 1 << 31 is added
};

void mve_linear_tiles_s8(const MveLinearTilesParams& params, const int8_t* input, const int8_t* weights,
                         int8_t* output);
void mve_linear_tiles_128_s8(const MveLinearTilesParams& params, const int8_t* input, const int8_t* weights,
                             int8_t* output);

}  // namespace mcu::kernels
