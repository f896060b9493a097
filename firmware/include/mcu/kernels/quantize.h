// The boundary between float and integers.
//
//   quantize:   q = clamp(rint(x * inverse_scale) + zero_point, quant_min, quant_max)
//   dequantize: x = (q - zero_point) * scale
//
// Exact: float32 arithmetic, one rounding for each operation; rint rounds half to even; a NaN becomes
// quant_min. quant_min - zero_point and quant_max - zero_point must be within 2^22. The source of both is
// quantized_decomposed.quantize_per_tensor and dequantize_per_tensor.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct QuantizeParams {
    int32_t count;
    float inverse_scale;
    int32_t zero_point;
    int32_t quant_min;
    int32_t quant_max;
};

struct DequantizeParams {
    int32_t count;
    float scale;
    int32_t zero_point;
};

void quantize_f32_s8(const QuantizeParams& params, const float* input, int8_t* output);
void quantize_f32_s16(const QuantizeParams& params, const float* input, int16_t* output);
void dequantize_s8_f32(const DequantizeParams& params, const int8_t* input, float* output);
void dequantize_s16_f32(const DequantizeParams& params, const int16_t* input, float* output);

}  // namespace mcu::kernels
