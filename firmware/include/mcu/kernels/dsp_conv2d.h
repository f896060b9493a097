// Convolution of int8 images with SMLAD: what conv2d.h computes, for one group and dilation 1, from packed
// weights and with the input's offset folded into the bias.
//
//   sum    = sum over ky, kx, i of pixel(ky, kx, i) * weights[o][ky][kx][i]; outside the image a pixel is
//            -input_offset, so that it adds nothing to sum + bias
//   output = rescale(sum), see dsp_rescale.h
//
// Two pixels of the output and all its channels are made together. Their windows are widened to int16 once,
// into `patch`, then each pair of channels runs over them: a tile of 2 x 2 sums.
//
// Products of a window are counted in fours (a group); the last groups fill the window up to a multiple of
// the unrolling, x2 or x4. `patch`, 16 bytes a group:
//   [group][pixel][halfwords: products 0, 2; 1, 3]
// dsp_conv2d takes pixels of whole words; dsp_conv2d_bytes takes any and brings each window together first,
// in 8 bytes and the window's size by fours behind the patch. `packed`, for pairs of channels b and a in any
// order:
//   [pair]{ [group][halfwords: 256 * a + b of products 0, 2; 1, 3], DspScale of b, DspScale of a, b, a }
// A halfword holds two weights. The low byte, widened, is b's; the sum over whole halfwords, less b's sum, is
// 256 times a's sum, so that a's weights are never widened. It is exact where |a's sum| < 2^23, and where
// no weight a = -128 meets a negative b; the packing pairs channels accordingly. A channel without a partner
// is b, with zeros for a, and a's number that of b, which is stored after it.
//
// Input and output lie as in conv2d.h. Output pixels are made in the order of memory, two by two:
// dsp_pointwise over the ends of rows too, the others anew at each row. A pixel's window is not read any more
// when the first of its two pixels is stored. Where one pixel is left, it is stored twice.
//
// Exact. Inner loop: 51 instructions for 64 products (x4), 27 for 32 (x2). x0 takes sums of any size, in
// parts of 496 products: 18 for 16.

#pragma once

#include <cstdint>

#include "mcu/kernels/dsp_rescale.h"
#include "mcu/kernels/image.h"

namespace mcu::kernels {

struct DspTileParams {
    int32_t groups;    // of four products
    int32_t pairs;     // of output channels
    int32_t channels;  // of the output
    DspBounds bounds;
};

// Any window.
struct DspConv2dParams {
    int32_t batch;
    ImageSize input;
    ImageSize output;
    Window window;
    int32_t pad_value;
    DspTileParams tile;
};

// A window of one pixel, stride 1: `pixels` of `depth` bytes, one after the other.
struct DspPointwiseParams {
    int32_t pixels;
    int32_t depth;
    DspTileParams tile;
};

#define MCU_DSP_CONVOLUTIONS_X(form, unroll)                                                         \
    void dsp_conv2d_##form##_x##unroll(const DspConv2dParams& params, const int8_t* input,           \
                                       const int32_t* packed, int8_t* output, uint8_t* patch);       \
    void dsp_conv2d_bytes_##form##_x##unroll(const DspConv2dParams& params, const int8_t* input,     \
                                             const int32_t* packed, int8_t* output, uint8_t* patch); \
    void dsp_pointwise_##form##_x##unroll(const DspPointwiseParams& params, const int8_t* input,     \
                                          const int32_t* packed, int8_t* output, uint8_t* patch);
#define MCU_DSP_CONVOLUTIONS(form)  \
    MCU_DSP_CONVOLUTIONS_X(form, 0) \
    MCU_DSP_CONVOLUTIONS_X(form, 2) \
    MCU_DSP_CONVOLUTIONS_X(form, 4)

MCU_DSP_CONVOLUTIONS(relu)
MCU_DSP_CONVOLUTIONS(ties)
MCU_DSP_CONVOLUTIONS(bounded)
#undef MCU_DSP_CONVOLUTIONS
#undef MCU_DSP_CONVOLUTIONS_X

}  // namespace mcu::kernels
