// Averages of windows over int8 images: avg_pool2d_s8 of pool.h for windows of at most 255 pixels and
// channels that are a multiple of four.
//
// Four channels at a time, their sums in 16 bits: 255 pixels of int8 fit. Exact: the average is rounded in
// integers, one division for an output. A row of outputs is written when its windows were read. Three
// instructions and a loop for four inputs.

#pragma once

#include <cstdint>

#include "mcu/kernels/pool.h"

namespace mcu::kernels {

void dsp_avg_pool2d_s8(const AvgPool2dParams& params, const int8_t* input, int8_t* output);

}  // namespace mcu::kernels
