#include "mcu/kernels/quantize.h"

#include <cmath>

namespace mcu::kernels {
namespace {

template <typename Q>
void quantize(const QuantizeParams& params, const float* input, Q* output) {
    const auto low = static_cast<float>(params.quant_min);
    const auto high = static_cast<float>(params.quant_max);
    for (int32_t i = 0; i < params.count; ++i) {
        const float q = std::rint(input[i] * params.inverse_scale) + static_cast<float>(params.zero_point);
        // Clamped as a float: a huge or infinite input must not reach the conversion. A NaN becomes
        // quant_min.
        const float clamped = q > low ? (q < high ? q : high) : low;
        output[i] = static_cast<Q>(clamped);
    }
}

template <typename Q>
void dequantize(const DequantizeParams& params, const Q* input, float* output) {
    for (int32_t i = 0; i < params.count; ++i) {
        output[i] = static_cast<float>(input[i] - params.zero_point) * params.scale;
    }
}

}  // namespace

void quantize_f32_s8(const QuantizeParams& params, const float* input, int8_t* output) {
    quantize(params, input, output);
}

void quantize_f32_s16(const QuantizeParams& params, const float* input, int16_t* output) {
    quantize(params, input, output);
}

void dequantize_s8_f32(const DequantizeParams& params, const int8_t* input, float* output) {
    dequantize(params, input, output);
}

void dequantize_s16_f32(const DequantizeParams& params, const int16_t* input, float* output) {
    dequantize(params, input, output);
}

}  // namespace mcu::kernels
