// Convolutions of int8 images with SMLAD, row by row, without dilation. The arithmetic is that of
// dsp_depthwise.h, whose kernels take any window.
//
//   depthwise_rows  what depthwise_conv2d.h computes for as many output channels as input channels, at least
//                   four
//   group_rows      what it computes for any number of channels, and conv2d.h for groups of up to four input
//                   channels: `outputs` of each group, whose `depth` channels are as further rows of a window
//
// Four channels (`lanes`, where there are fewer, or groups of three) of the whole image are made before the
// next four. Rows of the input are widened once each, into `slots`, which has as many of them as the window,
// by turns:
//   [row]{ [pair of columns][4 channels][halfwords: one column, the next] }
// beginning with the padding on the left, of which there may be a column too many, so that the image begins
// with a pair. A core, which python/mcu_build/kernels/dsp/depthwise_rows_core.py emits for the layer, makes a
// row of the output from them, of four channels or of a group. `packed`, a record for each output channel:
//   doubled bias, [channel of the group][row][words of doubled weights], multiplier, addend, shift
//
// Before a row of the output is written, the rows of the input that its windows reach were read. The output
// of depthwise_rows may lie in the input's memory where bytes keep their channel. Exact. With a window of 3x3
// four outputs take 64 instructions in rows of up to 15, 75 in others, and two columns of four channels some
// 15 to widen.

#pragma once

#include <cstdint>

#include "mcu/kernels/dsp_requantize.h"
#include "mcu/kernels/image.h"

namespace mcu::kernels {

inline constexpr int32_t kDspDepthwiseRows = 15;

// What a core reads, in the order that it takes it.
struct DspDepthwiseRow {
    const int32_t* packed;
    int8_t* output;
    int8_t* base;  // the output of the channel at hand
    const int32_t* packed_end;
    DspBounds bounds;
    const int32_t* end;  // of the last row, behind whole blocks of four outputs
    int32_t back;        // bytes from there back to the next channel
    int32_t* rows[kDspDepthwiseRows];
};
using DspDepthwiseCore = void (*)(const DspDepthwiseRow&);

struct DspDepthwiseRowsParams {
    int32_t batch;
    ImageSize input;
    Pair output;  // height and width
    Window window;
    int32_t pad_value;
    int32_t pairs;    // of columns, in a row of `slots`
    int32_t lead;     // of padding on the left
    int32_t whole;    // of columns of the image
    bool half;        // whether one more has the image's last column, and padding
    int32_t record;   // words
    int32_t lanes;    // channels of the input that are widened together
    int32_t depth;    // of a group
    int32_t outputs;  // of a group
    DspBounds bounds;
};

void dsp_depthwise_rows(const DspDepthwiseRowsParams& params, DspDepthwiseCore core, const int8_t* input,
                        const int32_t* packed, int8_t* output, uint8_t* slots);
void dsp_group_rows(const DspDepthwiseRowsParams& params, DspDepthwiseCore core, const int8_t* input,
                    const int32_t* packed, int8_t* output, uint8_t* slots);

}  // namespace mcu::kernels
