// Depthwise convolution of int8 images on cores without DSP instructions: what depthwise_conv2d.h computes
// for as many output channels as input channels, from packed weights and with the input's offset folded into
// the bias.
//
//   sum    = sum over taps ky, kx of pixel(ky, kx) * weights[ky][kx][o]; outside the image a pixel is
//            -input_offset, so that it adds nothing to sum + bias
//   output = requantize(sum), see dsp_requantize.h
//
// `together` pixels of a row of the output are made at once, by a core that
// python/mcu_build/kernels/thumb/depthwise_core.py emits. They see `reach` pixels of each row of the image.
// `packed`:
//   [channel]{ bias, [ky][three weights of a row: bytes 0, 1 and 3 of a word], multiplier, addend, shift }
// Rows are filled up to threes with weights of zero. The constants are those of dsp_requantize.h, the bias
// not doubled. `edge` is a pixel of -input_offset; null where no window leaves the image and `together`
// divides rows. `table` is scratch: a pointer for each pixel that is seen.
//
// Input and output lie as in depthwise_conv2d.h. Output pixels are made in memory order; a pixel's window is
// read until the last byte of its block is stored. Where fewer than `together` are left, the first is stored
// several times.
//
// Exact. On a Cortex-M0+ a row of a 3x3 window, stride 1, takes 88 cycles for 18 products.

#pragma once

#include <cstdint>

#include "mcu/kernels/dsp_requantize.h"
#include "mcu/kernels/image.h"

namespace mcu::kernels {

// What a core reads, in the order that it takes it.
struct ThumbTaps {
    const int32_t* packed;
    const int8_t* const* table;
    const int8_t* const* table_end;
    int32_t from;  // what is added to the table's pointers for the first channel, and behind the last
    int32_t from_end;
    DspBounds bounds;
    int8_t* outputs[6];  // less `from`
};
using ThumbTapsCore = void (*)(const ThumbTaps&);

struct ThumbDepthwiseParams {
    int32_t batch;
    ImageSize input;
    Pair output;  // height and width
    Window window;
    int32_t together;
    int32_t reach;
    DspBounds bounds;
};

void thumb_depthwise(const ThumbDepthwiseParams& params, ThumbTapsCore core, const int8_t* input,
                     const int32_t* packed, const int8_t* edge, int8_t* output, uint8_t* table);

}  // namespace mcu::kernels
