#include "mcu/kernels/unary_f32.h"

#include <cmath>
#include <numbers>

namespace mcu::kernels {
namespace {

// clamp(x + 3, 0, 6); a NaN stays.
float hard_step(float x) {
    const float shifted = x + 3.0f;
    return shifted < 0.0f ? 0.0f : shifted > 6.0f ? 6.0f : shifted;
}

float gelu_tanh_of(float x) {
    constexpr float scale = std::numbers::sqrt2_v<float> * std::numbers::inv_sqrtpi_v<float>;
    return 0.5f * x * (1.0f + std::tanh(scale * (x + 0.044715f * x * x * x)));
}

float sign_of(float x) {
    return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x == 0.0f ? 0.0f : x;
}

}  // namespace

#define MCU_UNARY(name, expression)                                                 \
    void name##_f32(const UnaryParams& params, const float* input, float* output) { \
        for (int32_t i = 0; i < params.count; ++i) {                                \
            const float x = input[i];                                               \
            output[i] = expression;                                                 \
        }                                                                           \
    }

MCU_UNARY(abs, std::fabs(x))
MCU_UNARY(acos, std::acos(x))
MCU_UNARY(acosh, std::acosh(x))
MCU_UNARY(asin, std::asin(x))
MCU_UNARY(asinh, std::asinh(x))
MCU_UNARY(atan, std::atan(x))
MCU_UNARY(atanh, std::atanh(x))
MCU_UNARY(ceil, std::ceil(x))
MCU_UNARY(cos, std::cos(x))
MCU_UNARY(cosh, std::cosh(x))
MCU_UNARY(erf, std::erf(x))
MCU_UNARY(exp, std::exp(x))
MCU_UNARY(expm1, std::expm1(x))
MCU_UNARY(floor, std::floor(x))
MCU_UNARY(gelu, 0.5f * x * (1.0f + std::erf(x * (std::numbers::sqrt2_v<float> / 2.0f))))
MCU_UNARY(gelu_tanh, gelu_tanh_of(x))
MCU_UNARY(hardsigmoid, hard_step(x) / 6.0f)
MCU_UNARY(hardswish, x* hard_step(x) / 6.0f)
MCU_UNARY(log, std::log(x))
MCU_UNARY(log10, std::log10(x))
MCU_UNARY(log1p, std::log1p(x))
MCU_UNARY(log2, std::log2(x))
MCU_UNARY(neg, -x)
MCU_UNARY(reciprocal, 1.0f / x)
MCU_UNARY(round, std::rint(x))
MCU_UNARY(rsqrt, 1.0f / std::sqrt(x))
MCU_UNARY(sigmoid, 1.0f / (1.0f + std::exp(-x)))
MCU_UNARY(sign, sign_of(x))
MCU_UNARY(silu, x / (1.0f + std::exp(-x)))
MCU_UNARY(sin, std::sin(x))
MCU_UNARY(sinh, std::sinh(x))
MCU_UNARY(sqrt, std::sqrt(x))
MCU_UNARY(square, (x * x))
MCU_UNARY(tan, std::tan(x))
MCU_UNARY(tanh, std::tanh(x))
MCU_UNARY(trunc, std::trunc(x))

void isnan_f32(const UnaryParams& params, const float* input, bool* output) {
    for (int32_t i = 0; i < params.count; ++i) output[i] = std::isnan(input[i]);
}

void isinf_f32(const UnaryParams& params, const float* input, bool* output) {
    for (int32_t i = 0; i < params.count; ++i) output[i] = std::isinf(input[i]);
}

}  // namespace mcu::kernels
