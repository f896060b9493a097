// Depthwise convolution of int8 images on cores without DSP instructions: what depthwise_conv2d.h computes
// for as many output channels as input channels, at least four, from packed weights and with the input's
// offset folded into the bias.
//
//   sum    = sum over taps ky, kx of pixel(ky, kx) * weights[ky][kx][o]; outside the image a pixel is
//            -input_offset, so that it adds nothing to sum + bias
//   output = rescale(sum), see dsp_rescale.h
//
// Four channels of a pixel are made together, the last four being the last of all (where channels are no
// multiple of four, some are made twice): first(four) = min(4 * four, channels - 4). `packed`, for channels
// o = first(four) + 0 ... 3:
//   [four]{ [tap ky * width + kx][o]: bytes, DspScale[o] }
// Taps are filled up to a multiple of three with weights of zero. `edge` is a pixel of -input_offset; null
// where no window leaves the image. `taps` is scratch: a pointer for every tap.
//
// Input and output lie as in depthwise_conv2d.h. Output pixels are made in memory order; a pixel's own
// window is read until it is made.
//
// Exact. Inner loop for four channels and three taps: 44 instructions for 12 products (Armv7-M).

#pragma once

#include <cstdint>

#include "mcu/kernels/dsp_rescale.h"
#include "mcu/kernels/image.h"

namespace mcu::kernels {

struct ThumbDepthwiseParams {
    int32_t batch;
    ImageSize input;
    Pair output;  // height and width
    Window window;
    int32_t taps;  // of the window, by threes
    DspBounds bounds;
};

#define MCU_THUMB_DEPTHWISE(form)                                                        \
    void thumb_depthwise_##form(const ThumbDepthwiseParams& params, const int8_t* input, \
                                const int32_t* packed, const int8_t* edge, int8_t* output, uint8_t* taps);

MCU_THUMB_DEPTHWISE(relu)
MCU_THUMB_DEPTHWISE(ties)
MCU_THUMB_DEPTHWISE(bounded)
#undef MCU_THUMB_DEPTHWISE

}  // namespace mcu::kernels
