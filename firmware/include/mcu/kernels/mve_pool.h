// Averages and maxima of windows over int8 images on Helium: avg_pool2d_s8 of pool.h for windows of at most
// 255 pixels, and max_pool2d_s8.
//
// Averages: eight channels at a time, their sums in 16 bits: 255 pixels of int8 fit. Exact: rounded in
// integers, by a product with the reciprocal. A row of outputs is written when its windows were read. A load
// and an addition for eight inputs, 8 instructions for eight outputs. Maxima: 16 channels at a time, a load
// and a maximum for 16 inputs.

#pragma once

#include <cstdint>

#include "mcu/kernels/pool.h"

namespace mcu::kernels {

void mve_avg_pool2d_s8(const AvgPool2dParams& params, const int8_t* input, int8_t* output);
void mve_max_pool2d_s8(const MaxPool2dParams& params, const int8_t* input, int8_t* output);

}  // namespace mcu::kernels
