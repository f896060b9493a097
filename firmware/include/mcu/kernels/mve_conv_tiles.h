// Convolution of int8 images on Helium in tiles of four pixels by four channels. The arithmetic is that of
// mve_conv2d.h. Sums and outputs are made by a core, which python/mcu_build/kernels/helium/tile_core.py emits
// for the shape of a layer: a kernel here brings the windows of four pixels together and calls it.
//
// Layouts: input and output as in conv2d.h. Weights [quad][vector][4][16]: a quad is four output channels
// (absent ones are zero). The vectors of a pixel are R bytes of products in 16 * n bytes: the first vector is
// bytes 0 to 15, the others are the last 16 * (n - 1) bytes. Weights of bytes that a vector before had, and
// of bytes that are no product, are zero. Scales [quad][4][4]: four biases, multipliers, addends, shifts.
//
//   pointwise  1x1, stride 1, at least 4 pixels: they lie in the image
//   image      outputs at least 4 pixels wide, no horizontal dilation: the rows of a window have the vectors
//              above, and are read where they lie
//   dense      windows of some pixels are copied to `im2col`, where they have the vectors above; a window's
//              pieces are its rows or, with horizontal dilation, its pixels. At least 4 pixels
//   turns      as image, rows of at least 16 bytes; in `im2col` the vectors of a row are those above, and
//              those of four pixels are neighbours
//   window     everything else, as dense (`vector` is 16) or turns (`vector` is 64)
//
//   grouped    as window, of several groups: pieces are a group's bytes of a pixel. Weights and scales of the
//              groups lie one behind the other, and so do their windows in `im2col`
//   transposed transpose_conv2d.h without dilation: as window, for each phase of the output's rows and
//              columns. Weights and scales of the phases lie one behind the other
//   transposed_image  likewise as image, of phases at least 4 pixels wide
//
// Four pixels are computed at once, for all channels: of window and dense in memory order, elsewhere of a
// row, of which the last four may be computed again; of dense those of all, from windows that are kept.
// Pointwise takes the image as one row. Before pixels are written, their windows were read for the last time,
// but for those computed again. `im2col` is scratch: im2col_bytes, and what windows that leave the image
// take: all their bytes for window, the rows of those that are copied at once for dense, else the rows of
// four windows. Of dense, im2col_bytes is that of the windows that are computed at once, four times some, of
// three more where all pixels are no multiple of four, and 16.

#pragma once

#include <cstdint>

#include "mcu/kernels/image.h"

namespace mcu::kernels {

// Tiles of four pixels, at the same distance from each other. Cores load it by its order.
struct MveTile {
    const int8_t* input;
    const int32_t* scales;
    int8_t* output;  // of the first pixel
    const int8_t* weights;
    const int32_t* first_scales;  // as `scales`
    int8_t* first_output;         // as `output`
    int32_t rounds;  // of the core's loop, or bytes between rows of a window, or between pixels of the output
    const int32_t* last_scales;  // of the last quad
    int32_t tiles;
    int32_t input_step;  // bytes from a tile to the next
    int32_t output_step;
    int32_t further[3];  // bytes from the first pixel's output to the others'
    int32_t low;
    int32_t high;
};
using MveCore = void (*)(const MveTile&);

struct MveTileEpilogue {
    int32_t channels;
    int32_t low;
    int32_t high;
};

struct MvePointwiseTilesParams {
    int32_t pixels;  // at least 4
    int32_t depth;   // bytes of a pixel
    MveTileEpilogue epilogue;
};

struct MveWindowTilesParams {
    int32_t batch;
    ImageSize input;
    Pair output;  // height and width
    Window window;
    int32_t pad_value;
    int32_t pixel;   // bytes in the im2col buffer from a window to the next
    int32_t vector;  // bytes in the im2col buffer from a window's vector to the next
    int32_t im2col_bytes;
    int32_t rounds;  // of the core's loop
    MveTileEpilogue epilogue;
};

void mve_pointwise_tiles_s8(const MvePointwiseTilesParams& params, MveCore core, const int8_t* input,
                            const int8_t* weights, const int32_t* scales, int8_t* output);
// Convolutions of a part of the channels each: `depth` of the input, and epilogue.channels of the output.
struct MveGroups {
    int32_t count;
    int32_t depth;
    int32_t weights;  // bytes from a group's to the next's
};

struct MveGroupedTilesParams {
    MveWindowTilesParams windows;  // im2col_bytes of a group
    MveGroups groups;
};

// Transposed convolutions, whose windows reach an output of each phase of the stride with the same number of
// pixels, some with weights of zero.
struct MveTransposedTilesParams {
    MveWindowTilesParams windows;  // of a phase; output is that of all
    Pair stride;
    Pair padding;     // of the transposed convolution
    int32_t weights;  // bytes from a phase's to the next's
};

#define MCU_MVE_TILES(name)                                                                                 \
    void name(const MveWindowTilesParams& params, MveCore core, const int8_t* input, const int8_t* weights, \
              const int32_t* scales, int8_t* output, uint8_t* im2col);
MCU_MVE_TILES(mve_image_tiles_s8)
MCU_MVE_TILES(mve_dense_tiles_s8)
MCU_MVE_TILES(mve_turns_tiles_s8)
MCU_MVE_TILES(mve_window_tiles_s8)
#undef MCU_MVE_TILES
void mve_grouped_tiles_s8(const MveGroupedTilesParams& params, MveCore core, const int8_t* input,
                          const int8_t* weights, const int32_t* scales, int8_t* output, uint8_t* im2col);
void mve_transposed_tiles_s8(const MveTransposedTilesParams& params, MveCore core, const int8_t* input,
                             const int8_t* weights, const int32_t* scales, int8_t* output, uint8_t* im2col);
void mve_transposed_image_tiles_s8(const MveTransposedTilesParams& params, MveCore core, const int8_t* input,
                                   const int8_t* weights, const int32_t* scales, int8_t* output,
                                   uint8_t* im2col);

}  // namespace mcu::kernels
