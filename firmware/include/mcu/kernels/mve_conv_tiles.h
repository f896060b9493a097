// Convolution of int8 images on Helium in tiles of four pixels by two channels: the arithmetic and the
// parameters of mve_conv2d.h, in less flash. The kernels share everything but their sums.
//
// Layouts: input and output as in conv2d.h. Weights [pair][vector][2][16]: a pair is two output channels (an
// absent one is zero); vectors are 16 of the products that a pixel's sum has, in the order that the kernel's
// name tells. Scales [channels, rounded up to even][4]: bias, multiplier, addend, shift.
//
//   tiles_3x3_<n>          3x3 of n channels, stride 1   order: row, 16 channels, column
//   tiles_3x3_stride_2_<n> 3x3 of n channels, stride 2   order: row, column, channels
//   tiles_3x3_3            3x3 of 3 channels, stride 1   order: row, column, channels, then 7 zeros
//   tiles_3x3_8            3x3 of 8 channels, stride 1   order: row, column, channels, then 8 zeros
//   tiles_3x3_stride_2_3   3x3 of 3 channels, stride 2   order: row, column, channels, then 7 zeros
//   tiles_1x1_stride_2_<n> 1x1 of n channels, stride 2   order: channels
//   tiles_1x1_<n>          1x1 of n channels, stride 1   order: channels
//
// Outputs are at least four pixels wide; 1x1 of stride 1 takes the image as one row. Where the width is no
// multiple of four, the last four pixels of a row are computed together, some of them again. The input's rows
// above the first row of a window are not read when the window's output row, or a later one, was begun.
// `patch` is scratch for windows that leave the image: 3 * (3 + 3 * stride) * channels bytes; null where none
// does.
//
// Inner loops, instructions for 16 products: 3x3 of stride 1 1.5 (36 for 24), of 8 channels 1.69 (27 for 16),
// 3x3 of 3 and 1x1 of 8 channels 1.88 (15 for 8), elsewhere 1.75 (14 for 8).

#pragma once

#include <cstdint>

#include "mcu/kernels/mve_conv2d.h"

namespace mcu::kernels {

#define MCU_MVE_TILES(name)                                                            \
    void name(const MveConvParams& params, const int8_t* input, const int8_t* weights, \
              const int32_t* scales, int8_t* output, uint8_t* patch);
MCU_MVE_TILES(mve_tiles_3x3_3_s8)
MCU_MVE_TILES(mve_tiles_3x3_8_s8)
MCU_MVE_TILES(mve_tiles_3x3_16_s8)
MCU_MVE_TILES(mve_tiles_3x3_32_s8)
MCU_MVE_TILES(mve_tiles_3x3_64_s8)
MCU_MVE_TILES(mve_tiles_3x3_stride_2_3_s8)
MCU_MVE_TILES(mve_tiles_3x3_stride_2_16_s8)
MCU_MVE_TILES(mve_tiles_3x3_stride_2_32_s8)
MCU_MVE_TILES(mve_tiles_1x1_stride_2_16_s8)
MCU_MVE_TILES(mve_tiles_1x1_stride_2_32_s8)
#undef MCU_MVE_TILES
#define MCU_MVE_TILES(name)                                                                 \
    void name(const MvePointwiseParams& params, const int8_t* input, const int8_t* weights, \
              const int32_t* scales, int8_t* output);
MCU_MVE_TILES(mve_tiles_1x1_8_s8)
MCU_MVE_TILES(mve_tiles_1x1_16_s8)
MCU_MVE_TILES(mve_tiles_1x1_32_s8)
MCU_MVE_TILES(mve_tiles_1x1_64_s8)
MCU_MVE_TILES(mve_tiles_1x1_128_s8)
MCU_MVE_TILES(mve_tiles_1x1_256_s8)
#undef MCU_MVE_TILES

}  // namespace mcu::kernels
