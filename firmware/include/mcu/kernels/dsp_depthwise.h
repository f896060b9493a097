// Depthwise convolution of int8 images with SMLAD: what depthwise_conv2d.h computes for as many output
// channels as input channels, at least four, from packed weights and with the input's offset folded into the
// bias.
//
//   sum    = sum over taps ky, kx of pixel(ky, kx) * weights[ky][kx][o]; outside the image a pixel is
//            -input_offset, so that it adds nothing to sum + bias
//   output = requantize(sum), see dsp_requantize.h
//
// Four channels of a pixel are made together, taps by twos: PKHBT and PKHTB join two taps' channels, SXTB16
// widens them into pairs of one channel. Channels are counted by fours, the last four being the last of all
// (where they are no multiple of four, some are made twice): first(four) = min(4 * four, channels - 4).
//
// `packed`, for channels o = first(four) + 0 ... 3 and taps t = ky * width + kx:
//   any window  [four]{ [pair of taps][o][halfwords: t, t + 1], DspScale[o] }; the last pair may have one tap
//   3x3         [four]{ [4 pairs][o][halfwords: t, t + 1], halfwords of tap 8: o 0, 2; 1, 3; DspScale[o] }
// `edge` is a pixel of -input_offset; null where no window leaves the image. `taps` is scratch: a pointer for
// every tap, and one more where they are odd.
//
// Input and output lie as in depthwise_conv2d.h. Output pixels are made in memory order; a pixel's own
// window is read until it is made.
//
// Exact. Inner loop for four channels: 3x3 82 instructions for 36 products; others 18 and a loop for 8.

#pragma once

#include <cstdint>

#include "mcu/kernels/dsp_requantize.h"
#include "mcu/kernels/image.h"

namespace mcu::kernels {

struct DspDepthwiseParams {
    int32_t batch;
    ImageSize input;
    Pair output;  // height and width
    Window window;
    DspBounds bounds;
};

#define MCU_DSP_DEPTHWISE(name)                                                                             \
    void dsp_depthwise_##name(const DspDepthwiseParams& params, const int8_t* input, const int32_t* packed, \
                              const int8_t* edge, int8_t* output, uint8_t* taps);

MCU_DSP_DEPTHWISE(3x3_relu)
MCU_DSP_DEPTHWISE(3x3_half_away)
MCU_DSP_DEPTHWISE(3x3_bounded)
MCU_DSP_DEPTHWISE(relu)
MCU_DSP_DEPTHWISE(half_away)
MCU_DSP_DEPTHWISE(bounded)
#undef MCU_DSP_DEPTHWISE

}  // namespace mcu::kernels
