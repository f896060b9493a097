#include "mcu/kernels/quantize.h"

#include "mcu/kernels/bits.h"

namespace mcu::kernels {
namespace {

// Added to a float of less than 2^22 it leaves the integer nearest to that, half to even, in the lowest bits:
// cores without an instruction for std::rint call a library for it, 30 instructions an element.
constexpr float kRound = 1.5F * (1 << 23);

template <typename Q>
void quantize(const QuantizeParams& params, const float* input, Q* output) {
    // Rounding keeps the order of numbers and leaves integers, so clamping before it gives the same.
    const auto low = static_cast<float>(params.quant_min - params.zero_point);
    const auto high = static_cast<float>(params.quant_max - params.zero_point);
    const int32_t offset = params.zero_point - bit_cast<int32_t>(kRound);
    // Bytes that are written may be anything's: what the loop needs is kept out of memory.
    const float inverse_scale = params.inverse_scale;
    const int32_t count = params.count;
    for (int32_t i = 0; i < count; ++i) {
        const float q = input[i] * inverse_scale;
        // A NaN becomes quant_min.
        const float clamped = q > low ? (q < high ? q : high) : low;
        output[i] = static_cast<Q>(bit_cast<int32_t>(clamped + kRound) + offset);
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
