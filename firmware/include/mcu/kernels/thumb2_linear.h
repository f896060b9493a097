// Fully connected layer of int8 on Armv7-M: what linear.h computes for filter offset 0 and at most 8064
// inputs, from packed weights and with the input's offset folded into the bias.
//
//   output = rescale(sum over i of input[i] * weights[o][i]), see dsp_rescale.h
//
// Four outputs a, b, c, d are made together, two by one 64-bit multiply-accumulate: weights of a and b, with
// b's moved to 0 ... 255, stand 24 bits apart in a word. It makes
//   2^24 * A + B + 128 * X    A, B: the sums of a and b, X: the sum of the inputs
// exactly; B, less than 2^23 for up to 504 inputs, after which sums are taken apart, is found in the low
// bits. `packed`, outputs filled up to fours with weights of zero, inputs to an even number:
//   [four]{ [pair of inputs i, i + 1][bytes: b[i] + 128, a[i + 1], b[i + 1] + 128, a[i], and so for d, c],
//           DspScale of a, b, c, d }
//
// A row of the input is read until its last output is made. Exact. Inner loop: 46 instructions for 32
// products.

#pragma once

#include <cstdint>

#include "mcu/kernels/dsp_rescale.h"

namespace mcu::kernels {

struct Thumb2LinearParams {
    int32_t rows;
    int32_t inputs;
    int32_t outputs;
    DspBounds bounds;
};

void thumb2_linear_relu(const Thumb2LinearParams& params, const int8_t* input, const int32_t* packed,
                        int8_t* output);
void thumb2_linear_ties(const Thumb2LinearParams& params, const int8_t* input, const int32_t* packed,
                        int8_t* output);
void thumb2_linear_bounded(const Thumb2LinearParams& params, const int8_t* input, const int32_t* packed,
                           int8_t* output);

}  // namespace mcu::kernels
