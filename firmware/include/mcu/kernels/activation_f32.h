// Functions of one float with parameters: output[i] = f(input[i]).
//
//   leaky_relu  x where x > 0, else slope x
//   elu         positive x where x > 0, else negative (exp(input_scale x) - 1)
//   pow         x to the power `exponent`; of 3, two products
//
// leaky_relu is exact (one rounding), the others use expm1 and pow of math_f32.h.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct LeakyReluParams {
    int32_t count;
    float slope;
};

struct EluParams {
    int32_t count;
    float positive;
    float negative;
    float input_scale;
};

struct PowParams {
    int32_t count;
    float exponent;
};

void leaky_relu_f32(const LeakyReluParams& params, const float* input, float* output);
void elu_f32(const EluParams& params, const float* input, float* output);
void pow_scalar_f32(const PowParams& params, const float* input, float* output);

}  // namespace mcu::kernels
