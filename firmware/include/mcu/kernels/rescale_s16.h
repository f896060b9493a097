// A tensor in another scale: from int8 to int16, back, or within int16; also ReLU and other clamps of int16.
//
//   output = clamp(rounded(input - input_zero_point, multiplier, shift) + output_zero_point, low, high)
//
// Exact (round_s16.h), equal to mcu_build::rescale_s16. One multiplication of 64 bits an element.

#pragma once

#include "mcu/kernels/round_s16.h"

namespace mcu::kernels {

struct RescaleS16Params {
    int32_t count;
    int32_t input_zero_point;
    int32_t multiplier;
    int32_t shift;
    int32_t output_zero_point;
    BoundsS16 bounds;
};

void rescale_s8_s16(const RescaleS16Params& params, const int8_t* input, int16_t* output);
void rescale_s16_s8(const RescaleS16Params& params, const int16_t* input, int8_t* output);
void rescale_s16_s16(const RescaleS16Params& params, const int16_t* input, int16_t* output);

}  // namespace mcu::kernels
