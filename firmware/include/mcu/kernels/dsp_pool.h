// Averages and maxima of windows over int8 images of at least four channels: avg_pool2d_s8, for windows of at
// most 255 pixels, and max_pool2d_s8 of pool.h.
//
// Four channels at a time; the last four end with the last channel, so some are made twice. Sums have 16
// bits: 255 pixels of int8 fit. Exact: the average is rounded in integers, by a product with the reciprocal.
// A row of outputs is written when its windows were read. Three instructions for four inputs. Where the
// stride is one, pixels side by side are as good as channels.

#pragma once

#include <cstdint>

#include "mcu/kernels/pool.h"

namespace mcu::kernels {

void dsp_avg_pool2d_s8(const AvgPool2dParams& params, const int8_t* input, int8_t* output);
void dsp_max_pool2d_s8(const MaxPool2dParams& params, const int8_t* input, int8_t* output);

}  // namespace mcu::kernels
