// Convolution of int8 images on cores without DSP instructions: what conv2d.h computes, from packed weights
// and with the input's offset folded into the bias.
//
//   sum    = sum over ky, kx, i of pixel(ky, kx, i) * weights[o][ky][kx][i]; outside the image a pixel is
//            -input_offset, so that it adds nothing to sum + bias
//   output = requantize(sum), see dsp_requantize.h
//
// One 32-bit multiplication makes the products of two pixels with one weight. The windows of four pixels are
// brought together in `im2col`, aligned to eight bytes, two pixels in a word:
//   [block of two products][pixels 0 and 1, pixels 2 and 3][product: pixel + 65536 * next pixel]
// then a core that python/mcu_build/kernels/thumb/tile_core.py emits makes all channels of these. The
// products of a block are summed: 65536 * a + b with -32768 <= b < 32768, because no two weights of a block
// are both -128. The sums S of these words (modulo 2^32) and A of their a give
//   sum of pixel 1 = A,  sum of pixel 0 = S - 65536 * A.
//
// `packed`, products filled up with weights of zero to what the core makes, channels to a multiple of eight:
//   [eight channels][product][8 channels: bytes], then ThumbScale[channels]
//
// Input and output lie as in conv2d.h. Output pixels are made in memory order, four by four, over the
// ends of rows too. A pixel's window is not read any more when the first of its four pixels is stored (of
// several groups: of the last one); where
// fewer than four are left, the first is stored several times. `edge` is a pixel of -input_offset.
//
// Exact. Inner loop: 16 instructions for 8 products.

#pragma once

#include <cstdint>

#include "mcu/kernels/dsp_requantize.h"
#include "mcu/kernels/image.h"

namespace mcu::kernels {

// Constants of one output channel: dsp_requantize.h's, the bias not doubled.
struct ThumbScale {
    int32_t bias;
    int32_t multiplier;
    int32_t addend;
    int32_t shift;
};

// What a core reads, in the order that it takes it.
struct ThumbTile {
    const int32_t* im2col;
    const int32_t* im2col_end;
    int32_t weights;  // where those of a channel begin, less where the im2col buffer does
    const int32_t* scales;
    int8_t* output;  // of pixel 0; the others so many bytes behind it, 0 where there is none
    int32_t second;
    int32_t third;
    int32_t fourth;
    const int8_t* output_end;  // of pixel 0
    int32_t eight_stride;      // bytes of weights between the last of eight channels and the next
    int32_t in_eight;          // channels left of eight
    DspBounds bounds;
};
using ThumbCore = void (*)(const ThumbTile&);

struct ThumbTileParams {
    int32_t products;  // of a window, filled up
    int32_t channels;  // of the output
    DspBounds bounds;
};

// Any window. The channels of a group see `depth` channels of the input.
struct ThumbConv2dParams {
    int32_t batch;
    ImageSize input;
    ImageSize output;
    Window window;
    int32_t groups;
    int32_t depth;
    ThumbTileParams tile;
};

// A window of one pixel, stride 1: `pixels` of `depth` bytes, one after the other.
struct ThumbPointwiseParams {
    int32_t pixels;
    int32_t depth;
    ThumbTileParams tile;
};

void thumb_conv2d(const ThumbConv2dParams& params, ThumbCore core, const int8_t* input, const int32_t* packed,
                  const int8_t* edge, int8_t* output, uint8_t* im2col);
void thumb_pointwise(const ThumbPointwiseParams& params, ThumbCore core, const int8_t* input,
                     const int32_t* packed, int8_t* output, uint8_t* im2col);

}  // namespace mcu::kernels
