#include "mcu/kernels/activation_f32.h"

#include "mcu/kernels/math_f32.h"

namespace mcu::kernels {

void leaky_relu_f32(const LeakyReluParams& params, const float* input, float* output) {
    for (int32_t i = 0; i < params.count; ++i) {
        const float x = input[i];
        output[i] = x > 0.0f ? x : x * params.slope;
    }
}

void elu_f32(const EluParams& params, const float* input, float* output) {
    for (int32_t i = 0; i < params.count; ++i) {
        const float x = input[i];
        output[i] = x > 0.0f ? x * params.positive : math::expm1(x * params.input_scale) * params.negative;
    }
}

void pow_scalar_f32(const PowParams& params, const float* input, float* output) {
    const PowParams given = params;
    if (given.exponent == 3.0f) {
        for (int32_t i = 0; i < given.count; ++i) output[i] = input[i] * input[i] * input[i];
        return;
    }
    for (int32_t i = 0; i < given.count; ++i) output[i] = math::pow(input[i], given.exponent);
}

}  // namespace mcu::kernels
