// Convolutions (of one group) and linear layers of int16 as products of rows: what a window sees, or a pixel,
// or a row of a matrix. Two rows run at a time.

#pragma once

#include <cstdint>
#include <cstring>

#include "mcu/kernels/conv2d_s16.h"

namespace mcu::kernels {

struct LayerS16 {
    const void* weights;
    const int32_t* bias;
    const int32_t* multipliers;
    const int32_t* shifts;
};

// What the window at output pixel (oy, ox) sees, with zeros for what is outside of the image.
inline void copy_window_s16(const Conv2dS16Params& params, const int16_t* image, int32_t oy, int32_t ox,
                            int16_t* to) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const bool together = window.dilation.x == 1;
    const int32_t left = ox * window.stride.x - window.padding.x;
    for (int32_t ky = 0; ky < window.size.y; ++ky) {
        const int32_t y = oy * window.stride.y - window.padding.y + ky * window.dilation.y;
        const bool inside = y >= 0 && y < params.input.height;
        const int16_t* const row = image + y * params.input.width * channels;
        if (together && inside && left >= 0 && left + window.size.x <= params.input.width) {
            std::memcpy(to, row + left * channels, static_cast<uint32_t>(window.size.x * channels) * 2);
            to += window.size.x * channels;
            continue;
        }
        for (int32_t kx = 0; kx < window.size.x; ++kx, to += channels) {
            const int32_t x = left + kx * window.dilation.x;
            if (inside && x >= 0 && x < params.input.width) {
                std::memcpy(to, row + x * channels, static_cast<uint32_t>(channels) * 2);
            } else {
                std::memset(to, 0, static_cast<uint32_t>(channels) * 2);
            }
        }
    }
}

// Calls Core::rows<1 or 2>(params, layer, depth, x, output) for the rows of all output pixels, in their
// order. Rows are padded with zeros to a multiple of kMultiple elements in `scratch`, which is null where
// each pixel of the image is a row of such a length.
template <typename Core, int32_t kMultiple>
void im2col_s16(const Conv2dS16Params& params, const int16_t* input, const LayerS16& layer, int16_t* output,
                int16_t* scratch) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const int32_t seen = window.size.y * window.size.x * channels;
    const int32_t depth = (seen + kMultiple - 1) / kMultiple * kMultiple;
    const int32_t made = params.output.channels;
    if (scratch != nullptr) {
        std::memset(scratch, 0, static_cast<uint32_t>(2 * depth) * 2);
    }
    const int16_t* x[2];
    int32_t waiting = 0;
    for (int32_t n = 0; n < params.batch; ++n) {
        const int16_t* const image = input + n * params.input.height * params.input.width * channels;
        for (int32_t oy = 0; oy < params.output.height; ++oy) {
            for (int32_t ox = 0; ox < params.output.width; ++ox) {
                if (scratch != nullptr) {
                    copy_window_s16(params, image, oy, ox, scratch + waiting * depth);
                    x[waiting] = scratch + waiting * depth;
                } else {
                    x[waiting] =
                        image + (oy * window.stride.y * params.input.width + ox * window.stride.x) * channels;
                }
                if (++waiting == 2) {
                    Core::template rows<2>(params, layer, depth, x, output);
                    output += 2 * made;
                    waiting = 0;
                }
            }
        }
    }
    if (waiting != 0) {
        Core::template rows<1>(params, layer, depth, x, output);
    }
}

}  // namespace mcu::kernels
