// Fully connected layer of int8 on cores without DSP instructions: what linear.h computes for filter offset
// 0, from packed weights and with the input's offset folded into the bias.
//
//   output = requantize(sum over i of input[i] * weights[o][i]), see dsp_requantize.h
//
// A core that python/mcu_build/kernels/thumb/linear_core.py emits makes a row of outputs, four by four.
// `packed`, outputs filled up to fours:
//   [four]{ biases of outputs 0, 2, 1, 3, [input][4 outputs: weight + 128 in a byte],
//           [4 outputs]{ multiplier, addend, shift } }
// The constants are those of dsp_requantize.h, the bias not doubled. Products have 128 times the sum of the
// inputs too much, which the core takes from the bias.
//
// A row of the input is read until its last output is made. Exact. Inner loop, 4 products: 15 instructions
// (Armv6-M), 12 (Armv7-M).

#pragma once

#include <cstdint>

#include "mcu/kernels/dsp_requantize.h"

namespace mcu::kernels {

// What a core reads, in the order that it takes it.
struct ThumbRow {
    const int32_t* packed;
    const int8_t* input;
    const int8_t* input_end;
    int32_t moved;  // -128 times the sum of the inputs
    int8_t* output;
    const int8_t* output_end;
    DspBounds bounds;
};
using ThumbRowCore = void (*)(const ThumbRow&);

struct ThumbLinearParams {
    int32_t rows;
    int32_t inputs;
    int32_t outputs;
    DspBounds bounds;
};

void thumb_linear(const ThumbLinearParams& params, ThumbRowCore core, const int8_t* input,
                  const int32_t* packed, int8_t* output);

}  // namespace mcu::kernels
