// Depthwise convolution of int8 images on Helium: depthwise_conv2d.h with windows of 3x3 and as many output
// as input channels, stride 1 or 2. The arithmetic is that of mve_conv2d.h, one channel in place of four.
//
// Sixteen channels at a time, four input rows are copied to `columns`, where the four pixels of a column and
// channel are one word. A vector of four words is then a channel's 4x4 patch, of which one product with a
// vector of weights is a whole sum: with stride 1 such a patch holds the windows of 2x2 outputs.
//
// Layouts: input and output as in depthwise_conv2d.h. Channels are records of 9 words, in order: 0, the three
// columns of the weights (three rows, then 0), 0, bias, multiplier, addend, shift. `columns` is scratch,
// [columns][16][4] and 16 bytes of padding; with stride 1 there are strip + 2 columns, with stride 2 twice
// the strip rounded up to 4, and 2.
//
// With stride 1 two output rows are computed at once, with stride 2 it is one: `strip` columns of them,
// sixteen channels after the other, then the next strip. Sixteen channels of a strip are written when the
// same channels of its windows were read for the last time, and other channels do not lie there where the
// output starts a multiple of `channels` bytes below the input: the step's overlap counts from strip to
// strip.
//
// Instructions for an output with stride 1: 3.75 and a sixteenth of 4 for the copy; with stride 2: 4.5.

#pragma once

#include <cstdint>

#include "mcu/kernels/image.h"

namespace mcu::kernels {

struct MveDepthwiseParams {
    int32_t batch;
    ImageSize input;
    Pair output;  // height and width, which is at least 2
    Pair padding;
    int32_t pad_value;
    bool plain;  // no ties and no clamp: low and high are not looked at
    int32_t low;
    int32_t high;
    int32_t strip;  // the output's width, or less: even with stride 1, a multiple of 4 with stride 2
};

void mve_depthwise_3x3_s8(const MveDepthwiseParams& params, const int8_t* input, const int32_t* channels,
                          int8_t* output, uint8_t* columns);
// The same, in half the flash where stride_2 is linked too.
void mve_depthwise_3x3_shared_s8(const MveDepthwiseParams& params, const int8_t* input,
                                 const int32_t* channels, int8_t* output, uint8_t* columns);
void mve_depthwise_3x3_stride_2_s8(const MveDepthwiseParams& params, const int8_t* input,
                                   const int32_t* channels, int8_t* output, uint8_t* columns);

}  // namespace mcu::kernels
