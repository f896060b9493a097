// Maximum and average over windows of int16 images [batch][height][width][channels].
//
//   max_pool2d_s16: the largest element of a window inside the image
//   avg_pool2d_s16: clamp(rounded(sum, multipliers[count], shift)), of the `count` elements inside the image
//
// multipliers[1 ... window.size.y * window.size.x] hold the change of scale divided by the count. Exact
// (round_s16.h), equal to mcu_build::max_pool2d_s16 and avg_pool2d_s16. Inner loop: one element at a time.

#pragma once

#include "mcu/kernels/image.h"
#include "mcu/kernels/round_s16.h"

namespace mcu::kernels {

struct PoolS16Params {
    int32_t batch;
    ImageSize input;
    ImageSize output;
    Window window;
    int32_t shift;
};

void max_pool2d_s16(const PoolS16Params& params, const int16_t* input, int16_t* output);
void avg_pool2d_s16(const PoolS16Params& params, const int16_t* input, const int32_t* multipliers,
                    int16_t* output);

}  // namespace mcu::kernels
