#include "mcu/kernels/mve_conv_tiles.h"

#include "copy_vectors.h"
#include "tile_cores.h"

namespace mcu::kernels {
namespace {

using mve::Core;
using mve::kTilePixels;
using mve::Tile;

// Three rows of `columns` pixels from `at` on, some of which lie outside of the image.
void copy_border(const MveConvParams& params, const int8_t* input, Pair at, int32_t columns, int8_t* to) {
    const int32_t channels = params.input.channels;
    const int32_t pitch = params.input.width * channels;
    const int32_t start = at.x < 0 ? -at.x : 0;
    const int32_t inside = params.input.width - at.x;
    const int32_t bytes = ((inside < columns ? inside : columns) - start) * channels;
    // What is not copied stays what it is now.
    mve::fill_bytes(to, static_cast<int8_t>(params.pad_value), 3 * columns * channels);
    for (int32_t y = at.y; y < at.y + 3; ++y, to += columns * channels) {
        if (y >= 0 && y < params.input.height) {
            mve::copy_bytes(to + start * channels, input + y * pitch + (at.x + start) * channels, bytes);
        }
    }
}

// Every four pixels of the output by `core`: their windows lie in the image or, at its border, in `patch`.
[[gnu::noinline]] void run(const MveConvParams& params, const int8_t* input, const int8_t* weights,
                           const int32_t* scales, int8_t* output, uint8_t* patch, Core core) {
    const Window& window = params.window;
    const int32_t columns = window.size.x + (kTilePixels - 1) * window.stride.x;
    const int32_t channels = params.input.channels;
    const int32_t pitch = params.input.width * channels;
    Tile tile = mve::tile_of(params.stage, weights, scales);
    // Compilers are not to conclude from a naked function's text that it reads no tile.
    __asm__("" : "+r"(core));
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t oy = 0; oy < params.output.y; ++oy) {
            const int32_t y = oy * window.stride.y - window.padding.y;
            for (int32_t pixel = 0; pixel < params.output.x; pixel += kTilePixels) {
                const int32_t last = params.output.x - kTilePixels;
                const int32_t ox = pixel < last ? pixel : last;
                const int32_t x = ox * window.stride.x - window.padding.x;
                tile.input = input + y * pitch + x * channels;
                tile.row = pitch;
                if (y < 0 || x < 0 || y + window.size.y > params.input.height ||
                    x + columns > params.input.width) {
                    auto* to = reinterpret_cast<int8_t*>(patch);
                    copy_border(params, input, {y, x}, columns, to);
                    tile.input = to;
                    tile.row = columns * channels;
                }
                tile.output = output + ox * params.stage.channels;
                core(tile);
            }
            output += params.output.x * params.stage.channels;
        }
        input += params.input.height * pitch;
    }
}

// Every four pixels, which are `pitch` bytes each, by `core`.
[[gnu::noinline]] void run_pointwise(const MvePointwiseParams& params, const int8_t* input,
                                     const int8_t* weights, const int32_t* scales, int8_t* output,
                                     int32_t pitch, Core core) {
    Tile tile = mve::tile_of(params.stage, weights, scales);
    __asm__("" : "+r"(core));  // as above
    const int32_t last = params.pixels - kTilePixels;
    for (int32_t pixel = 0; pixel < params.pixels; pixel += kTilePixels) {
        const int32_t first = pixel < last ? pixel : last;
        tile.input = input + first * pitch;
        tile.output = output + first * params.stage.channels;
        core(tile);
    }
}

}  // namespace

#define MCU_MVE_TILES(name, core)                                                      \
    void name(const MveConvParams& params, const int8_t* input, const int8_t* weights, \
              const int32_t* scales, int8_t* output, uint8_t* patch) {                 \
        run(params, input, weights, scales, output, patch, core);                      \
    }
MCU_MVE_TILES(mve_tiles_3x3_3_s8, mve::core_3x3_3)
MCU_MVE_TILES(mve_tiles_3x3_8_s8, mve::core_3x3_8)
MCU_MVE_TILES(mve_tiles_3x3_16_s8, mve::core_3x3_16)
MCU_MVE_TILES(mve_tiles_3x3_32_s8, mve::core_3x3_32)
MCU_MVE_TILES(mve_tiles_3x3_64_s8, mve::core_3x3_64)
MCU_MVE_TILES(mve_tiles_3x3_stride_2_3_s8, mve::core_3x3_stride_2_3)
MCU_MVE_TILES(mve_tiles_3x3_stride_2_16_s8, mve::core_3x3_stride_2_16)
MCU_MVE_TILES(mve_tiles_3x3_stride_2_32_s8, mve::core_3x3_stride_2_32)
MCU_MVE_TILES(mve_tiles_1x1_stride_2_16_s8, mve::core_1x1_stride_2_16)
MCU_MVE_TILES(mve_tiles_1x1_stride_2_32_s8, mve::core_1x1_stride_2_32)
#undef MCU_MVE_TILES
#define MCU_MVE_TILES(channels)                                                                        \
    void mve_tiles_1x1_##channels##_s8(const MvePointwiseParams& params, const int8_t* input,          \
                                       const int8_t* weights, const int32_t* scales, int8_t* output) { \
        run_pointwise(params, input, weights, scales, output, channels, mve::core_1x1_##channels);     \
    }
MCU_MVE_TILES(8)
MCU_MVE_TILES(16)
MCU_MVE_TILES(32)
MCU_MVE_TILES(64)
MCU_MVE_TILES(128)
MCU_MVE_TILES(256)
#undef MCU_MVE_TILES

}  // namespace mcu::kernels
