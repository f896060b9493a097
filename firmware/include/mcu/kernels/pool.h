// Average and maximum of windows over int8 images [batch][height][width][channels].
//
//   avg_pool2d_s8:        output = clamp(round_half_even(sum of (q - zero_point) / count) + zero_point, -128,
//   127) avg_pool2d_float_s8:  the same average in float32: x = (q - zero_point) * scale, y = sum of x /
//   count,
//                         output = clamp(rint(y / scale) + zero_point, -128, 127)
//   max_pool2d_s8:        output = clamp(max of q, low, high)
//
// count is the number of pixels of the window that lie inside the image; what lies outside takes no part.
// The integer average is exact, and equals the float one where the scale is a power of two and the window has
// fewer than 2^16 pixels. The float average is exact to the bit of the Python definition: one rounding for
// each operation, summed row by row; it depends on -ffp-contract=off. dilation is 1 everywhere. Source:
// cortex_m::quantized_avg_pool2d, cortex_m::quantized_max_pool2d and their _nhwc twins.

#pragma once

#include <cstdint>

#include "mcu/kernels/image.h"

namespace mcu::kernels {

struct AvgPool2dParams {
    int32_t batch;
    ImageSize input;
    ImageSize output;
    Window window;
    int32_t zero_point;
};

struct AvgPool2dFloatParams {
    int32_t batch;
    ImageSize input;
    ImageSize output;
    Window window;
    int32_t zero_point;
    float scale;
};

struct MaxPool2dParams {
    int32_t batch;
    ImageSize input;
    ImageSize output;
    Window window;
    int32_t activation_min;
    int32_t activation_max;
};

void avg_pool2d_s8(const AvgPool2dParams& params, const int8_t* input, int8_t* output);
void avg_pool2d_float_s8(const AvgPool2dFloatParams& params, const int8_t* input, int8_t* output);
void max_pool2d_s8(const MaxPool2dParams& params, const int8_t* input, int8_t* output);

}  // namespace mcu::kernels
