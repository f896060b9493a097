// rescaled_resample.h on Helium, four channels at a time: with two rows and columns 7 instructions an output.

#pragma once

#include "mcu/kernels/rescaled_resample.h"

namespace mcu::kernels {

void mve_resample_s8(const RescaledResampleParams& params, const int8_t* input, const int32_t* row_starts,
                     const int16_t* row_weights, const int32_t* column_starts, const int16_t* column_weights,
                     int8_t* output);

}  // namespace mcu::kernels
