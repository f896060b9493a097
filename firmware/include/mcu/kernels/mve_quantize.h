// The boundary between float and int8 on Helium: quantize_f32_s8 and dequantize_s8_f32 of quantize.h.
//
// Exact for scales from 2^-100 to 2^100: vectors take floats below 2^-126 for 0, which then changes nothing.
// Each element is written when it, and all before it, were read. Instructions for four elements: 8 and 5.

#pragma once

#include <cstdint>

#include "mcu/kernels/quantize.h"

namespace mcu::kernels {

void mve_quantize_f32_s8(const QuantizeParams& params, const float* input, int8_t* output);
void mve_dequantize_s8_f32(const DequantizeParams& params, const int8_t* input, float* output);

}  // namespace mcu::kernels
