// Depthwise convolution of int8 images on Helium, one output a channel: depthwise_conv2d.h for any window and
// stride. The arithmetic is that of mve_conv2d.h, one channel in place of four. Sums are made by a core,
// which python/mcu_build/kernels/helium/depthwise_lanes_core.py emits for the window.
//
// Channels lie in the lanes of a vector, eight at a time, of two pixels that share the weights: 11
// instructions for 16 products. Of a stride of one, `together` pixels of few channels are as good as one of
// more. Where windows leave the image, its rows are copied to scratch memory with padding around them.
//
// Layouts: input and output as in depthwise_conv2d.h. `records` for eight channels of `together` pixels:
// int32 biases of even channels, of odd ones; weights [taps][8]; multipliers, addends and shifts as the
// biases; zero for absent channels. `rows` is scratch: [row][columns][channels] as far as windows of `strip`
// rows of the output reach, and 8 bytes that loads may cover.

#pragma once

#include <cstdint>

#include "mcu/kernels/image.h"

namespace mcu::kernels {

// Pairs of pixels. Cores load it by its order.
struct MveDepthwiseLanesRow {
    const int8_t* records;
    const int8_t* input;  // the window of the first pixel
    int8_t* output;
    int32_t pairs;
    int32_t beside_input;  // from a pair's first pixel to its second
    int32_t beside_output;
    int32_t next_input;  // from behind the channels of a first pixel to the next pair
    int32_t next_output;
    int32_t lanes;     // channels
    int32_t rows;      // of a window
    int32_t row_step;  // from behind a row of taps to the next
    int32_t back;      // from behind a window to its next channels
    int32_t low;
    int32_t high;
    int32_t tap_step;
};
using MveDepthwiseLanesCore = void (*)(const MveDepthwiseLanesRow&);

struct MveDepthwiseLanesParams {
    int32_t batch;
    ImageSize input;
    Pair output;  // height and width
    Window window;
    int32_t pad_value;
    int32_t low;
    int32_t high;
    int32_t strip;     // rows of the output for which the input's are copied; 0: windows are in the image
    int32_t columns;   // of what is copied
    int32_t together;  // pixels
    int32_t moved;     // bytes that a window moves a core's pointers on by
};

void mve_depthwise_lanes_s8(const MveDepthwiseLanesParams& params, MveDepthwiseLanesCore core,
                            const int8_t* input, const int8_t* records, int8_t* output, uint8_t* rows);

// One pixel whose window is in the image; `lanes` to `tap_step` as above.
struct MveDepthwiseAloneParams {
    int32_t lanes;
    int32_t rows;
    int32_t row_step;
    int32_t back;
    int32_t low;
    int32_t high;
    int32_t tap_step;
};

void mve_depthwise_alone_s8(const MveDepthwiseAloneParams& params, MveDepthwiseLanesCore core,
                            const int8_t* input, const int8_t* records, int8_t* output);

}  // namespace mcu::kernels
