#include "mcu/kernels/pool.h"

#include "mcu/kernels/requantize.h"

namespace mcu::kernels {
namespace {

// The pixels of one window: `first` is the channel's value in the first of them.
struct ClippedWindow {
    const int8_t* first;
    int32_t rows;
    int32_t columns;
    int32_t row_stride;
    int32_t column_stride;
};

int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}
int32_t larger(int32_t a, int32_t b) {
    return a > b ? a : b;
}

// output = function(window), for every output element in memory order.
template <typename Params, typename Function>
void for_each_window(const Params& params, const int8_t* input, int8_t* output, const Function& function) {
    const ImageSize& size = params.input;
    const Window& window = params.window;
    const int32_t row_stride = size.width * size.channels;
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t oy = 0; oy < params.output.height; ++oy) {
            const int32_t top = oy * window.stride.y - window.padding.y;
            const int32_t bottom = smaller(top + window.size.y, size.height);
            const int32_t y = larger(top, 0);
            for (int32_t ox = 0; ox < params.output.width; ++ox) {
                const int32_t left = ox * window.stride.x - window.padding.x;
                const int32_t right = smaller(left + window.size.x, size.width);
                const int32_t x = larger(left, 0);
                const int8_t* first = input + (n * size.height + y) * row_stride + x * size.channels;
                for (int32_t c = 0; c < size.channels; ++c) {
                    *output++ =
                        function(ClippedWindow{first + c, bottom - y, right - x, row_stride, size.channels});
                }
            }
        }
    }
}

template <typename Function>
void for_each_pixel(const ClippedWindow& window, const Function& function) {
    for (int32_t row = 0; row < window.rows; ++row) {
        for (int32_t column = 0; column < window.columns; ++column) {
            function(window.first[row * window.row_stride + column * window.column_stride]);
        }
    }
}

// To the nearest, half away from zero.
int32_t divide_round(int32_t value, int32_t count) {
    return (value < 0 ? value - count / 2 : value + count / 2) / count;
}

}  // namespace

void avg_pool2d_s8(const AvgPool2dParams& params, const int8_t* input, int8_t* output) {
    for_each_window(params, input, output, [](const ClippedWindow& window) {
        int32_t sum = 0;
        for_each_pixel(window, [&](int8_t q) { sum += q; });
        return static_cast<int8_t>(divide_round(sum, window.rows * window.columns));
    });
}

void max_pool2d_s8(const MaxPool2dParams& params, const int8_t* input, int8_t* output) {
    for_each_window(params, input, output, [&params](const ClippedWindow& window) {
        int32_t found = -128;
        for_each_pixel(window, [&](int8_t q) { found = larger(found, q); });
        return static_cast<int8_t>(clamp(found, params.activation_min, params.activation_max));
    });
}

}  // namespace mcu::kernels
