// Average and maximum of windows over int8 images [batch][height][width][channels].
//
//   avg_pool2d_s8:  output = round(sum of q / count), half away from zero
//   max_pool2d_s8:  output = clamp(max of q, low, high)
//
// count is the number of pixels of the window that lie inside the image; what lies outside takes no part. The
// average is CMSIS-NN's arm_avgpool_s8, exact in integers: input and output share their scale and zero point.
// dilation is 1 everywhere. Source: cortex_m::quantized_avg_pool2d, cortex_m::quantized_max_pool2d and their
// _nhwc twins; the Python definition of the average rounds half to even, on both sides of the zero point.

#pragma once

#include <cstdint>

#include "mcu/kernels/image.h"

namespace mcu::kernels {

struct AvgPool2dParams {
    int32_t batch;
    ImageSize input;
    ImageSize output;
    Window window;
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
void max_pool2d_s8(const MaxPool2dParams& params, const int8_t* input, int8_t* output);

}  // namespace mcu::kernels
