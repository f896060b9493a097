#include "mcu/kernels/pool.h"

#include "mcu/kernels/math_f32.h"
#include "mcu/kernels/requantize.h"

namespace mcu::kernels {
namespace {

// The pixels of one window: `first` is the channel's value in the first of them.
struct Patch {
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

// output = function(patch), for every output element in the order of memory.
template <typename Params, typename Function>
void for_each_patch(const Params& params, const int8_t* input, int8_t* output, const Function& function) {
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
                    *output++ = function(Patch{first + c, bottom - y, right - x, row_stride, size.channels});
                }
            }
        }
    }
}

template <typename Function>
void for_each_pixel(const Patch& patch, const Function& function) {
    for (int32_t row = 0; row < patch.rows; ++row) {
        for (int32_t column = 0; column < patch.columns; ++column) {
            function(patch.first[row * patch.row_stride + column * patch.column_stride]);
        }
    }
}

int32_t divide_round_half_even(int32_t value, int32_t count) {
    const int32_t magnitude = value < 0 ? -value : value;
    int32_t quotient = magnitude / count;
    const int32_t twice = 2 * (magnitude % count);
    if (twice > count || (twice == count && quotient % 2 != 0)) {
        ++quotient;
    }
    return value < 0 ? -quotient : quotient;
}

}  // namespace

void avg_pool2d_s8(const AvgPool2dParams& params, const int8_t* input, int8_t* output) {
    for_each_patch(params, input, output, [&params](const Patch& patch) {
        int32_t sum = 0;
        for_each_pixel(patch, [&](int8_t q) { sum += q - params.zero_point; });
        const int32_t average = divide_round_half_even(sum, patch.rows * patch.columns);
        return static_cast<int8_t>(clamp(average + params.zero_point, -128, 127));
    });
}

void avg_pool2d_float_s8(const AvgPool2dFloatParams& params, const int8_t* input, int8_t* output) {
    for_each_patch(params, input, output, [&params](const Patch& patch) {
        float sum = 0.0F;
        for_each_pixel(patch,
                       [&](int8_t q) { sum += static_cast<float>(q - params.zero_point) * params.scale; });
        const float average = sum / static_cast<float>(patch.rows * patch.columns);
        const float q = math::rint(average / params.scale) + static_cast<float>(params.zero_point);
        return static_cast<int8_t>(q > -128.0F ? (q < 127.0F ? q : 127.0F) : -128.0F);
    });
}

void max_pool2d_s8(const MaxPool2dParams& params, const int8_t* input, int8_t* output) {
    for_each_patch(params, input, output, [&params](const Patch& patch) {
        int32_t found = -128;
        for_each_pixel(patch, [&](int8_t q) { found = larger(found, q); });
        return static_cast<int8_t>(clamp(found, params.activation_min, params.activation_max));
    });
}

}  // namespace mcu::kernels
