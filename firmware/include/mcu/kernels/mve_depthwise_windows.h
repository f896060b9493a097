// Depthwise convolution of int8 images on Helium: depthwise_conv2d.h for windows of up to 8 rows and 8
// columns, or 4 rows and 16 columns, any stride and number of outputs a channel. The arithmetic is that of
// mve_conv2d.h, one channel in place of four. The sums are made by a core, which
// python/mcu_build/kernels/helium/depthwise_core.py emits for the window.
//
// Sixteen channels at a time, the rows of a window are copied to `columns`, where the pixels of four rows of
// a column and channel are one word. A vector gathers the words of four columns of a channel: 16 products.
// With `pairs`, two rows of the output are computed at once: a vector holds the windows of 2x2 outputs, which
// have at most three rows and columns, and a stride of one. Of an image of one channel (`narrow`), the words
// of its columns follow each other, and its outputs are made as those of channels are.
//
// Layouts: input and output as in depthwise_conv2d.h. `records` [16 channels][copy][channel]: the weights as
// vectors of [4 columns][4 rows], those of the first base before those of the second; bias, multiplier,
// addend, shift; of pairs behind a word of zeros. `columns` is scratch: [4 rows][column][16][4], and 16 bytes
// of padding.
//
// One row of the output is computed at once, or two: `strip` columns of it, sixteen channels after the other,
// then the next strip. Sixteen channels of a strip are written when the same channels of its windows were
// read for the last time, and where input and output have the same channels, other ones do not lie there if
// the output starts a multiple of `channels` bytes below the input: the step's overlap counts from strip to
// strip.

#pragma once

#include <cstdint>

#include "mcu/kernels/image.h"

namespace mcu::kernels {

// Outputs of some channels. Cores load it by its order.
struct MveDepthwiseSpace {
    const int8_t* records;
    int8_t* output;
    const int8_t* end;  // of the records
    int32_t loops;      // steps of four outputs behind the first
    int32_t pitch;      // bytes from four outputs to the next four
    int32_t back;       // from the last four outputs of a channel to the first of the next
    int32_t next;       // from the columns behind those of a channel to the next channel's first
    int32_t low;
    int32_t high;
    int32_t rest;         // outputs of the last step
    int32_t written;      // of the step before: 0 at first
    int32_t lower;        // of pairs: what moves weights down to the lower row, 1 where there is none
    int32_t offsets[4];   // of four outputs
    int32_t bases[2][4];  // the first columns, less what a step moves on by
};
using MveDepthwiseCore = void (*)(MveDepthwiseSpace&);

struct MveDepthwiseWindowsParams {
    int32_t batch;
    ImageSize input;
    Pair output;  // height and width
    Window window;
    int32_t copies;  // outputs of a channel
    bool narrow;
    bool pairs;
    int32_t pad_value;
    int32_t low;
    int32_t high;
    int32_t strip;    // the output's width, or less: whole steps
    int32_t columns;  // in scratch memory, for a strip
    int32_t planes;   // of four rows
    int32_t second;   // bytes from the first base to the second
    int32_t record;   // bytes of a channel
};

void mve_depthwise_windows_s8(const MveDepthwiseWindowsParams& params, MveDepthwiseCore core,
                              const int8_t* input, const int8_t* records, int8_t* output, uint8_t* columns);

}  // namespace mcu::kernels
