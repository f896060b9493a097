// Convolution of int8 images with SMLAD: what conv2d.h computes, for one group and dilation 1, from packed
// weights and with the input's offset folded into the bias.
//
//   sum    = sum over ky, kx, i of pixel(ky, kx, i) * weights[o][ky][kx][i]; outside the image a pixel is
//            -input_offset, so that it adds nothing to sum + bias
//   output = requantize(sum), see dsp_requantize.h
//
// Two pixels of the output and all its channels are made together, four channels (a quad) at once, by a core
// that python/mcu_build/kernels/dsp/tile_core.py emits. Their windows are widened to int16 once, into
// `im2col`, then each quad runs over them: a tile of 2 x 4 sums.
//
// Products of a window are counted in fours (a group); the last groups fill the window up to what the core
// makes. `im2col`, 16 bytes a group:
//   [group][halfwords: products 0, 2; 1, 3][pixel]
// dsp_conv2d takes pixels of whole words; dsp_conv2d_bytes takes any and brings each window together first,
// in 8 bytes and the window's size by fours behind `im2col`. `packed`, for two pairs of channels (b, a) and
// (d, c):
//   [quad]{ [group][products 0, 2; 1, 3][halfwords 256 * a + b; 256 * c + d], DspScale of b, a, d, c, numbers
//   }
// The channels of a quad follow each other, and `numbers` is the first one's, or it is those of b, a, d, c:
// the core knows. A channel may be made twice.
//
// A halfword holds two weights. The low byte, widened, is b's; the sum over whole halfwords, less b's sum, is
// 256 times a's sum, so that a's weights are never widened. It is exact where |a's sum| < 2^23, and where
// no weight a = -128 meets a negative b; the packing pairs channels accordingly. A channel without a partner
// is b, with zeros for a, and a's number that of b, which is stored after it.
//
// Input and output lie as in conv2d.h. Output pixels are made in memory order, two by two:
// dsp_pointwise over the ends of rows too, the others anew at each row. A pixel's window is not read any more
// when the first of its two pixels is stored. Where one pixel is left, it is stored twice.
//
// Exact. Inner loop: 14 instructions for 16 products. The `long` forms take sums of any size, in parts of 496
// products, from pairs of channels:
//   [pair]{ [group][halfwords: 256 * a + b of products 0, 2; 1, 3], DspScale of b, DspScale of a, b, a }
// 18 instructions for 16 products.

#pragma once

#include <cstdint>

#include "mcu/kernels/dsp_requantize.h"
#include "mcu/kernels/image.h"

namespace mcu::kernels {

// What a core reads, in the order that it takes it. Pointers are a word before what they are said to point
// to.
struct DspTile {
    const int32_t* packed;
    const int32_t* im2col;
    const int32_t* im2col_end;
    int8_t* first;   // the output of one pixel, itself
    int8_t* second;  // and of the other; the same where one is left
    const int32_t* packed_end;
    DspBounds bounds;
};
using DspCore = void (*)(const DspTile&);

struct DspTileParams {
    int32_t groups;    // of four products
    int32_t words;     // of `packed`
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

void dsp_conv2d(const DspConv2dParams& params, DspCore core, const int8_t* input, const int32_t* packed,
                int8_t* output, uint8_t* im2col);
void dsp_conv2d_bytes(const DspConv2dParams& params, DspCore core, const int8_t* input, const int32_t* packed,
                      int8_t* output, uint8_t* im2col);
void dsp_pointwise(const DspPointwiseParams& params, DspCore core, const int8_t* input, const int32_t* packed,
                   int8_t* output, uint8_t* im2col);

#define MCU_DSP_LONG(form)                                                                                 \
    void dsp_conv2d_long_##form(const DspConv2dParams& params, const int8_t* input, const int32_t* packed, \
                                int8_t* output, uint8_t* im2col);                                          \
    void dsp_conv2d_bytes_long_##form(const DspConv2dParams& params, const int8_t* input,                  \
                                      const int32_t* packed, int8_t* output, uint8_t* im2col);             \
    void dsp_pointwise_long_##form(const DspPointwiseParams& params, const int8_t* input,                  \
                                   const int32_t* packed, int8_t* output, uint8_t* im2col);

MCU_DSP_LONG(relu)
MCU_DSP_LONG(half_away)
MCU_DSP_LONG(bounded)
#undef MCU_DSP_LONG

}  // namespace mcu::kernels
