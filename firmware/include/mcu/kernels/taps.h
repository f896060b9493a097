// Iterates over the windows of a depthwise convolution by a table of pointers, one for every tap.

#pragma once

#include <cstdint>

#include "mcu/kernels/image.h"

namespace mcu::kernels {

using Tap = const int8_t*;

// Points every tap of the window at `origin` at its pixel, or at the edge; the place behind the last.
template <typename Params>
__attribute__((noinline)) Tap* point(const Params& params, const int8_t* image, Pair origin,
                                     const int8_t* edge, Tap* taps) {
    const ImageSize& size = params.input;
    const Window& window = params.window;
    const auto width = static_cast<uint32_t>(size.width);
    const int32_t step = window.dilation.x * size.channels;
    const int32_t end = origin.x + window.size.x * window.dilation.x;
#pragma GCC unroll 1
    for (int32_t ky = 0, y = origin.y; ky < window.size.y; ++ky, y += window.dilation.y) {
        // Beyond the image's rows no column is inside.
        const uint32_t inside = static_cast<uint32_t>(y) < static_cast<uint32_t>(size.height) ? width : 0;
        const int8_t* pixel = image + (y * size.width + origin.x) * size.channels;
#pragma GCC unroll 1
        for (int32_t x = origin.x; x != end; x += window.dilation.x, pixel += step) {
            *taps++ = static_cast<uint32_t>(x) < inside ? pixel : edge;
        }
    }
    return taps;
}

// Calls pixel(offset) for every pixel of the output, in memory order: its window's pixels lie `offset`
// bytes behind where the taps point, which aim(image, origin) sets anew where the window meets the padding.
template <typename Params, typename Aim, typename Pixel>
inline __attribute__((always_inline)) void for_each_window(const Params& params, const int8_t* input,
                                                           const Aim& aim, const Pixel& pixel) {
    const Window& window = params.window;
    const int32_t span = params.input.width - (window.size.x - 1) * window.dilation.x;
    const int32_t step = window.stride.x * params.input.channels;
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t oy = 0; oy < params.output.y; ++oy) {
            Pair origin = {oy * window.stride.y - window.padding.y, -window.padding.x};
            const bool rows_inside =
                origin.y >= 0 && origin.y + (window.size.y - 1) * window.dilation.y < params.input.height;
            int32_t offset = 0;
            for (int32_t ox = 0; ox < params.output.x; ++ox, origin.x += window.stride.x) {
                // Neighbours that are both inside have taps a step apart.
                if (rows_inside && origin.x >= window.stride.x && origin.x < span) {
                    offset += step;
                } else {
                    aim(input, origin);
                    offset = 0;
                }
                pixel(offset);
            }
        }
        input += params.input.height * params.input.width * params.input.channels;
    }
}

}  // namespace mcu::kernels
