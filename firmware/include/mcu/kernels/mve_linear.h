// Fully connected layer of int8 on Helium: linear.h without a filter offset, from packed weights. The
// arithmetic is that of mve_conv2d.h, with one multiplier, addend and shift.
//
// Layouts: input [rows][inputs], output [rows][outputs]; weights [outputs / 4][vectors][4][16] and bias
// [outputs / 4][4], zero for absent outputs and inputs.
//
//   linear_128   128 inputs, outputs a multiple of 4: 6 of the input's 8 vectors stay in registers, 66
//                instructions for 512 products
//   linear_128n  a multiple of 128 inputs: 73 instructions for 512 products
//   linear       any number of inputs: 10 instructions for 64 products

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct MveLinearParams {
    int32_t rows;
    int32_t inputs;
    int32_t outputs;
    int32_t multiplier;
    int32_t addend;
    int32_t shift;
    bool ties;
    int32_t low;
    int32_t high;
};

void mve_linear_s8(const MveLinearParams& params, const int8_t* input, const int8_t* weights,
                   const int32_t* bias, int8_t* output);
void mve_linear_128n_s8(const MveLinearParams& params, const int8_t* input, const int8_t* weights,
                        const int32_t* bias, int8_t* output);
void mve_linear_128_s8(const MveLinearParams& params, const int8_t* input, const int8_t* weights,
                       const int32_t* bias, int8_t* output);

}  // namespace mcu::kernels
