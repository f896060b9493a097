#include "mcu/kernels/unary_f32.h"

#include "mcu/kernels/math_f32.h"

namespace mcu::kernels {
namespace {

constexpr float kSqrt2 = 1.41421356f;
constexpr float kInverseSqrtPi = 0.564189584f;

// clamp(x + 3, 0, 6); a NaN stays.
float hard_step(float x) {
    const float shifted = x + 3.0f;
    return shifted < 0.0f ? 0.0f : shifted > 6.0f ? 6.0f : shifted;
}

float gelu_tanh_of(float x) {
    constexpr float scale = kSqrt2 * kInverseSqrtPi;
    return 0.5f * x * (1.0f + math::tanh(scale * (x + 0.044715f * x * x * x)));
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

MCU_UNARY(abs, math::abs(x))
MCU_UNARY(acos, math::acos(x))
MCU_UNARY(acosh, math::acosh(x))
MCU_UNARY(asin, math::asin(x))
MCU_UNARY(asinh, math::asinh(x))
MCU_UNARY(atan, math::atan(x))
MCU_UNARY(atanh, math::atanh(x))
MCU_UNARY(ceil, math::ceil(x))
MCU_UNARY(cos, math::cos(x))
MCU_UNARY(cosh, math::cosh(x))
MCU_UNARY(erf, math::erf(x))
MCU_UNARY(exp, math::exp(x))
MCU_UNARY(exp2, math::exp2(x))
MCU_UNARY(expm1, math::expm1(x))
MCU_UNARY(floor, math::floor(x))
MCU_UNARY(gelu, 0.5f * x * (1.0f + math::erf(x * (kSqrt2 / 2.0f))))
MCU_UNARY(gelu_tanh, gelu_tanh_of(x))
MCU_UNARY(hardsigmoid, hard_step(x) / 6.0f)
MCU_UNARY(hardswish, x* hard_step(x) / 6.0f)
MCU_UNARY(log, math::log(x))
MCU_UNARY(log10, math::log10(x))
MCU_UNARY(log1p, math::log1p(x))
MCU_UNARY(log2, math::log2(x))
MCU_UNARY(neg, -x)
MCU_UNARY(reciprocal, 1.0f / x)
MCU_UNARY(round, math::rint(x))
MCU_UNARY(rsqrt, math::rsqrt(x))
MCU_UNARY(sigmoid, math::sigmoid(x))
MCU_UNARY(sign, sign_of(x))
MCU_UNARY(silu, x* math::sigmoid(x))
MCU_UNARY(sin, math::sin(x))
MCU_UNARY(sinh, math::sinh(x))
MCU_UNARY(sqrt, math::sqrt(x))
MCU_UNARY(square, (x * x))
MCU_UNARY(tan, math::tan(x))
MCU_UNARY(tanh, math::tanh(x))
MCU_UNARY(trunc, math::trunc(x))

void isnan_f32(const UnaryParams& params, const float* input, bool* output) {
    for (int32_t i = 0; i < params.count; ++i) output[i] = math::is_nan(input[i]);
}

void isinf_f32(const UnaryParams& params, const float* input, bool* output) {
    for (int32_t i = 0; i < params.count; ++i) output[i] = math::is_inf(input[i]);
}

}  // namespace mcu::kernels
