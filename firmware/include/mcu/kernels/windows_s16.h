// Windows of a depthwise convolution over an int16 image, cut to what is inside.

#pragma once

#include "mcu/kernels/conv2d_s16.h"

namespace mcu::kernels {

// The part of a window inside the image: its first pixel and first tap, [rows][columns] of each, and the
// elements from one row to the next, and from one column to the next.
struct ClippedWindowS16 {
    const int16_t* first;
    const int8_t* weights;
    int32_t rows;
    int32_t columns;
    int32_t x_row;
    int32_t w_row;
    int32_t x_column;
};

// One channel's sum over a window, from `sum` on.
inline int64_t one_channel(const ClippedWindowS16& window, int32_t channels, int32_t c, int64_t sum) {
    for (int32_t y = 0; y < window.rows; ++y) {
        for (int32_t x = 0; x < window.columns; ++x) {
            sum += window.first[y * window.x_row + x * window.x_column + c] *
                   window.weights[y * window.w_row + x * channels + c];
        }
    }
    return sum;
}

// Calls pixel(window, output) for every pixel of the output.
template <typename Pixel>
inline void for_each_window(const Conv2dS16Params& params, const int16_t* input, const int8_t* weights,
                            int16_t* output, const Pixel& pixel) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const int32_t pitch = params.input.width * channels;
    for (int32_t n = 0; n < params.batch; ++n, input += params.input.height * pitch) {
        for (int32_t oy = 0; oy < params.output.height; ++oy) {
            const int32_t y = oy * window.stride.y - window.padding.y;
            int32_t top = 0;
            int32_t bottom = window.size.y;
            for (; top < bottom && y + top * window.dilation.y < 0; ++top) {
            }
            for (; bottom > top && y + (bottom - 1) * window.dilation.y >= params.input.height; --bottom) {
            }
            for (int32_t ox = 0; ox < params.output.width; ++ox, output += channels) {
                const int32_t x = ox * window.stride.x - window.padding.x;
                int32_t left = 0;
                int32_t right = window.size.x;
                for (; left < right && x + left * window.dilation.x < 0; ++left) {
                }
                for (; right > left && x + (right - 1) * window.dilation.x >= params.input.width; --right) {
                }
                const ClippedWindowS16 clipped = {
                    input + (y + top * window.dilation.y) * pitch + (x + left * window.dilation.x) * channels,
                    weights + (top * window.size.x + left) * channels,
                    bottom - top,
                    right - left,
                    window.dilation.y * pitch,
                    window.size.x * channels,
                    window.dilation.x * channels,
                };
                pixel(clipped, output);
            }
        }
    }
}

}  // namespace mcu::kernels
