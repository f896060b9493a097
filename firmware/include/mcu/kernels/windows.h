// The windows of a convolution over images, and the taps of each that lie inside its image.

#pragma once

#include "mcu/kernels/image.h"

namespace mcu::kernels {

// Calls each(batch, corner) for the window of each output pixel, in the order of outputs.
template <typename Params, typename Each>
inline void for_each_window(const Params& params, Each each) {
    const Window& window = params.window;
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t oy = 0; oy < params.output.height; ++oy) {
            for (int32_t ox = 0; ox < params.output.width; ++ox) {
                each(n,
                     Pair{oy * window.stride.y - window.padding.y, ox * window.stride.x - window.padding.x});
            }
        }
    }
}

// Calls each(pixel, tap), numbers in the image and in the window, for what lies inside.
template <typename Each>
inline void for_each_tap(const Window& window, const ImageSize& image, Pair corner, Each each) {
    for (int32_t ky = 0; ky < window.size.y; ++ky) {
        const int32_t y = corner.y + ky * window.dilation.y;
        if (y < 0 || y >= image.height) {
            continue;
        }
        for (int32_t kx = 0; kx < window.size.x; ++kx) {
            const int32_t x = corner.x + kx * window.dilation.x;
            if (x >= 0 && x < image.width) {
                each(y * image.width + x, ky * window.size.x + kx);
            }
        }
    }
}

inline int32_t pixels(const ImageSize& image) {
    return image.height * image.width;
}

}  // namespace mcu::kernels
