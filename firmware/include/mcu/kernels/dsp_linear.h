// Fully connected layer of int8 with SMLAD, one row: what linear.h computes for one row and filter offset 0,
// from packed weights and with the input's offset folded into the bias.
//
//   output = requantize(sum over i of input[i] * weights[o][i]), see dsp_requantize.h
//
// Four outputs are made together, so that the input is widened once for four and nothing is kept: no scratch.
// `packed`, for pairs of outputs (b, a) and (d, c) in any order, halfwords as in dsp_conv2d.h:
//   [four]{ [group][halfwords: 256 * a + b of inputs 0, 2; 1, 3; 256 * c + d of inputs 0, 2; 1, 3],
//           DspScale of b, a, d, c; b, a, d, c }
// A group is four inputs; the last is filled up with weights of zero.
//
// The input is read until the last output is made. Exact. Inner loop: 67 instructions for 64 products. The
// `long` forms take sums of any size: a and c are separated from b and d after every 496 inputs.

#pragma once

#include <cstdint>

#include "mcu/kernels/dsp_requantize.h"

namespace mcu::kernels {

struct DspLinearParams {
    int32_t inputs;
    int32_t fours;  // of outputs
    DspBounds bounds;
};

#define MCU_DSP_LINEAR(form)                                                                               \
    void dsp_linear_##form(const DspLinearParams& params, const int8_t* input, const int32_t* packed,      \
                           int8_t* output);                                                                \
    void dsp_linear_long_##form(const DspLinearParams& params, const int8_t* input, const int32_t* packed, \
                                int8_t* output);

MCU_DSP_LINEAR(relu)
MCU_DSP_LINEAR(half_away)
MCU_DSP_LINEAR(bounded)
#undef MCU_DSP_LINEAR

}  // namespace mcu::kernels
