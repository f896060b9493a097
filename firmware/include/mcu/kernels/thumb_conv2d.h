// Convolution of int8 images on cores without DSP instructions: what conv2d.h computes, for one group and
// dilation 1, from packed weights and with the input's offset folded into the bias.
//
//   sum    = sum over ky, kx, i of pixel(ky, kx, i) * weights[o][ky][kx][i]; outside the image a pixel is
//            -input_offset, so that it adds nothing to sum + bias
//   output = rescale(sum), see dsp_rescale.h
//
// One 32-bit multiplication makes the products of two pixels with one weight. The windows of four pixels are
// brought together in `patch`, two pixels in a word:
//   [product][words: pixel0 + 65536 * pixel1, pixel2 + 65536 * pixel3]
// Products are summed by twos: 32768 + two products = 65536 * a + b with 0 <= b < 65536, because no two
// weights of a block are both -128. The sums S of these words (modulo 2^32) and A of their a give
//   sum of pixel 1 = A,  sum of pixel 0 = S - 65536 * A - 32768 * blocks.
//
// `packed`, products filled up with weights of zero to a multiple of eight, channels to one of eight:
//   [eight channels][product][8 channels: bytes], then DspScale[channels]
//
// Input and output lie as in conv2d.h. Output pixels are made in memory order, four by four, over the
// ends of rows too. A pixel's window is not read any more when the first of its four pixels is stored; where
// fewer than four are left, the first is stored several times. `edge` is a pixel of -input_offset.
//
// Exact. Inner loop for 32 products: 46 instructions (Armv7-M), 74 (Armv6-M).

#pragma once

#include <cstdint>

#include "mcu/kernels/dsp_rescale.h"
#include "mcu/kernels/image.h"

namespace mcu::kernels {

struct ThumbTileParams {
    int32_t products;  // of a window, a multiple of eight
    int32_t channels;  // of the output
    DspBounds bounds;
};

// Any window.
struct ThumbConv2dParams {
    int32_t batch;
    ImageSize input;
    ImageSize output;
    Window window;
    ThumbTileParams tile;
};

// A window of one pixel, stride 1: `pixels` of `depth` bytes, one after the other.
struct ThumbPointwiseParams {
    int32_t pixels;
    int32_t depth;
    ThumbTileParams tile;
};

#define MCU_THUMB_CONVOLUTIONS(form)                                                                      \
    void thumb_conv2d_##form(const ThumbConv2dParams& params, const int8_t* input, const int32_t* packed, \
                             const int8_t* edge, int8_t* output, uint8_t* patch);                         \
    void thumb_pointwise_##form(const ThumbPointwiseParams& params, const int8_t* input,                  \
                                const int32_t* packed, int8_t* output, uint8_t* patch);

MCU_THUMB_CONVOLUTIONS(relu)
MCU_THUMB_CONVOLUTIONS(ties)
MCU_THUMB_CONVOLUTIONS(bounded)
#undef MCU_THUMB_CONVOLUTIONS

}  // namespace mcu::kernels
