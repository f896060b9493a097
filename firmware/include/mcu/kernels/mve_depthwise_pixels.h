// Depthwise convolution of int8 on Helium, pixel by pixel, for outputs of few pixels: a step of a stream.
// No window reaches beyond the image. The arithmetic is that of mve_conv2d.h.
//
// Layouts: input [rows][columns][channels], output [pixels][channels]. `offsets` are where the taps of a
// window lie behind its first one, in bytes. A record for each 16 channels: weights [taps][16], then
// int32[4][4] each of biases, multipliers, addends and shifts, of channels 0, 4, 8, 12, of 2, 6, 10, 14, of
// 1, 5, 9, 13 and of 3, 7, 11, 15; zero for absent channels.
//
// 16 channels at once. The sum of two products is int16: no pair of taps has -128 twice. 24 instructions for
// 32 products.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct MveDepthwisePixelsParams {
    int32_t rows;
    int32_t columns;
    int32_t row_step;     // bytes of the input between rows of the output
    int32_t column_step;  // and between pixels
    int32_t channels;
    int32_t taps;
    bool half_away;
    int32_t low;
    int32_t high;
};

void mve_depthwise_pixels_s8(const MveDepthwisePixelsParams& params, const int8_t* input,
                             const int32_t* offsets, const int8_t* records, int8_t* output);

}  // namespace mcu::kernels
