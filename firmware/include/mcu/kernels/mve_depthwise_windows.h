// Depthwise convolution of int8 images on Helium: depthwise_conv2d.h for windows of up to 8 rows and 8
// columns, or 4 rows and 16 columns, any stride and number of outputs a channel. The arithmetic is that of
// mve_conv2d.h, one channel in place of four. The sums are made by a core, which
// python/mcu_build/kernels/helium/depthwise.py emits for the window.
//
// Sixteen channels at a time, the rows of a window are copied to `columns`, where the pixels of four rows of
// a column and channel are one word. A vector gathers the words of four columns of a channel: 16 products.
//
// Layouts: input and output as in depthwise_conv2d.h. `records` [16 channels][copy][channel]: the weights as
// vectors of [4 columns][4 rows], those of the first base before those of the second; bias, multiplier,
// addend, shift. `columns` is scratch: [4 rows][column][16][4], and 16 bytes of padding.
//
// One row of the output is computed at once: `strip` columns of it, sixteen channels after the other, then
// the next strip. Where input and output have the same channels, they may share memory as in
// mve_depthwise_conv2d.h.

#pragma once

#include <cstdint>

#include "mcu/kernels/image.h"

namespace mcu::kernels {

// Outputs of some channels in a row. Cores load it by its order.
struct MveDepthwiseWalk {
    const int8_t* records;
    int8_t* output;
    const int8_t* end;  // of the records
    int32_t columns;    // of the output, in a row
    int32_t pitch;      // bytes from four outputs to the next four
    int32_t back;       // from behind the outputs of a channel to those of the next
    int32_t next;       // from the columns behind those of a channel to the next channel's first
    int32_t low;
    int32_t high;
    int32_t unused[3];
    int32_t offsets[4];   // of four outputs
    int32_t bases[2][4];  // the first columns, less what a step moves on by
};
using MveDepthwiseCore = void (*)(const MveDepthwiseWalk&);

struct MveDepthwiseWindowsParams {
    int32_t batch;
    ImageSize input;
    Pair output;  // height and width
    Window window;
    int32_t copies;  // outputs of a channel
    int32_t pad_value;
    int32_t low;
    int32_t high;
    int32_t strip;    // the output's width, or less
    int32_t columns;  // in scratch memory, for a strip
    int32_t planes;   // of four rows
    int32_t second;   // bytes from the first base to the second
    int32_t record;   // bytes of a channel
};

void mve_depthwise_windows_s8(const MveDepthwiseWindowsParams& params, MveDepthwiseCore core,
                              const int8_t* input, const int8_t* records, int8_t* output, uint8_t* columns);

}  // namespace mcu::kernels
