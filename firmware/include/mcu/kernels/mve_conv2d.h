// Convolution of int8 images on Helium: conv2d.h with groups = 1, from packed weights.
//
//   high   = saturating (2 * (sum + bias) * multiplier + 2^31) >> 32, sum over the window of input * weight
//   output = clamp(saturate(int8, (high + (high < 0 ? -half_away : 0) + addend) * 2^shift >> 24), low, high)
//
// which is to_int8 of conv2d.h with the input offset folded into the bias; a window's outside holds
// `pad_value`, so that it adds nothing. addend = (zero_point << right) + half of 1 << right and
// shift = 24 - right, where right is the right shift of the requantization: the zero point and the second
// rounding are added above the point, where the saturation that follows clamps. Ties of negative values round
// down in conv2d.h: `half_away` takes 1 away from them. It is not needed where the zero point is at the low
// clamp. The specializer (kernels/helium/table.py) takes only multipliers, shifts and bounds of sums for
// which all of this is exact.
//
// Layouts: input and output as in conv2d.h. Weights [quad][half][vector][2][16]: a quad is four output
// channels (absent ones are zero), its first half channels 0 and 1; vectors are 16 of the
// products that a pixel's sum has, in the order that the kernel's name tells. Scales [quad][4][4]: four
// biases, multipliers, addends, shifts.
//
//   pointwise        1x1, stride 1, a multiple of 16   order: channels
//   im2col           everything else                   order: row, column, channels, then zeros
//
// side_by_side is transpose_conv2d.h with a stride of the window's size, no padding and no dilation: a pixel
// of the input makes a window of the output alone, whose rows are pointwise convolutions with columns * O
// channels, [column][O]. Weights and scales are those of such a convolution for each row of the window.
//
// Three pixels of the image are computed at once, for all channels. Where the number of pixels is no multiple
// of three, the last three are computed together, some of them again; by im2col the last one is computed up
// to three times. Before pixels are written by im2col, their windows are read for the last time. `im2col`
// is scratch: 3 * 16 * vectors bytes.
//
// Inner loops, instructions for 16 products: 2. These are the kernels of builds for size; mve_conv_tiles.h
// has those for speed.

#pragma once

#include <cstdint>

#include "mcu/kernels/image.h"

namespace mcu::kernels {

struct MveConvEpilogue {
    int32_t channels;
    bool whole;  // channels is a multiple of 4 and nothing is clamped
    bool plain;  // whole, and no ties
    bool half_away;
    int32_t low;
    int32_t high;
};

struct MvePointwiseParams {
    int32_t pixels;   // at least 3
    int32_t vectors;  // of 16 input channels
    MveConvEpilogue epilogue;
};

struct MveConvParams {
    int32_t batch;
    ImageSize input;
    Pair output;  // height and width
    Window window;
    int32_t pad_value;
    int32_t vectors;  // of 16 products of a pixel's sum
    MveConvEpilogue epilogue;
};

struct MveSideBySideParams {
    int32_t input_rows;  // of all images
    int32_t window_rows;
    MvePointwiseParams row;  // of the input, for a row of the window
};

void mve_conv_im2col_s8(const MveConvParams& params, const int8_t* input, const int8_t* weights,
                        const int32_t* scales, int8_t* output, uint8_t* im2col);
void mve_pointwise_s8(const MvePointwiseParams& params, const int8_t* input, const int8_t* weights,
                      const int32_t* scales, int8_t* output);
void mve_side_by_side_s8(const MveSideBySideParams& params, const int8_t* input, const int8_t* weights,
                         const int32_t* scales, int8_t* output);

}  // namespace mcu::kernels
