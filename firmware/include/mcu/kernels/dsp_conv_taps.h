// Convolutions of int8 images whose windows are no rows of the image, with the tile of dsp_conv2d.h: dilated
// and grouped ones, depthwise ones with several outputs for a channel, transposed ones.
//
//   sum    = sum over taps and i of input[y + tap.y][x + tap.x][first + i] * weights[o][tap][i], i < depth;
//            outside the image an input is -input_offset, so that it adds nothing to sum + bias
//   output = requantize(sum), see dsp_requantize.h
//
// A part makes some channels of some pixels, those of row `row` of every `every.y` and of every `every.x`-th
// column from one: a group's channels of all pixels, or all channels of the pixels of a transposed
// convolution that the same weights reach. The window of its pixel i in the j-th of its rows begins at (y, x)
// = origin + step * (j, i). `packed` has the parts one behind the other:
//   DspPart, the weights and scales of dsp_conv2d.h: their channels count from the part's
// and its `taps` are in the table of that name, from `first_tap`.
//
// Input and output lie as in conv2d.h. Each row of the output is made by all of its parts in turn before the
// next. `im2col`: `window_bytes` for one window, brought together tap by tap, then the im2col buffer of
// dsp_conv2d.h. Exact. Inner loop: that of dsp_conv2d.h; in front of it, for each tap of a pixel, 4
// instructions where depth is 1 and windows lie inside, else about 12 and three for four bytes.

#pragma once

#include <cstdint>

#include "mcu/kernels/dsp_conv2d.h"
#include "mcu/kernels/dsp_requantize.h"
#include "mcu/kernels/image.h"

namespace mcu::kernels {

struct DspTap {
    int32_t y;
    int32_t x;
    int32_t bytes;  // from the window's begin
};

struct DspPart {
    int32_t words;  // of the part, this included
    int32_t first_tap;
    int32_t taps;    // none: the bias alone
    int32_t groups;  // of four products
    int32_t row;
    int32_t width;   // pixels in a row
    int32_t input;   // bytes: its first channel in a pixel of the input
    int32_t output;  // bytes: its first channel and pixel in a row of the output
    Pair low;        // of the taps
    Pair high;
};

struct DspConvTapsParams {
    int32_t batch;
    ImageSize input;
    ImageSize output;
    Pair origin;
    Pair step;
    Pair every;
    int32_t parts;
    int32_t depth;
    int32_t pad_value;
    int32_t window_bytes;
    DspBounds bounds;
};

void dsp_conv_taps(const DspConvTapsParams& params, DspCore core, const int8_t* input, const int32_t* packed,
                   const int32_t* taps, int8_t* output, uint8_t* im2col);

}  // namespace mcu::kernels
