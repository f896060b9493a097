// Fully connected layer of int8 on Armv6-M: what linear.h computes for filter offset 0, from packed weights
// and with the input's offset folded into the bias.
//
//   output = rescale(sum over i of input[i] * weights[o][i]), see dsp_rescale.h
//
// Four outputs are made together. `packed`, outputs filled up to fours with weights of zero:
//   [four]{ [4 outputs][input]: bytes, DspScale[4] }
//
// A row of the input is read until its last output is made. Exact. Inner loop: 57 instructions for 16
// products.

#pragma once

#include <cstdint>

#include "mcu/kernels/dsp_rescale.h"

namespace mcu::kernels {

struct ThumbLinearParams {
    int32_t rows;
    int32_t inputs;
    int32_t outputs;
    DspBounds bounds;
};

void thumb_linear_relu(const ThumbLinearParams& params, const int8_t* input, const int32_t* packed,
                       int8_t* output);
void thumb_linear_ties(const ThumbLinearParams& params, const int8_t* input, const int32_t* packed,
                       int8_t* output);
void thumb_linear_bounded(const ThumbLinearParams& params, const int8_t* input, const int32_t* packed,
                          int8_t* output);

}  // namespace mcu::kernels
