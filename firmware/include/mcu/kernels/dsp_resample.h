// rescaled_resample.h on cores with the DSP extension, an output after the other: with two rows and columns
// 27 instructions.

#pragma once

#include "mcu/kernels/rescaled_resample.h"

namespace mcu::kernels {

void dsp_resample_s8(const RescaledResampleParams& params, const int8_t* input, const int32_t* row_starts,
                     const int16_t* row_weights, const int32_t* column_starts, const int16_t* column_weights,
                     int8_t* output);

}  // namespace mcu::kernels
