// Functions of one float: output[i] = f(input[i]).
//
// f is the function of that name in math_f32.h, and
//
//   rsqrt 1 / sqrt(x)           reciprocal 1 / x           square x x             neg -x
//   sign  -1, 0 or 1, NaN stays round  half to even        erf    the error function
//   sigmoid 1 / (1 + exp(-x))   silu   x / (1 + exp(-x))
//   hardsigmoid clamp(x + 3, 0, 6) / 6                      hardswish x clamp(x + 3, 0, 6) / 6
//   gelu       x (1 + erf(x / sqrt 2)) / 2
//   gelu_tanh  x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
//
// Exact: abs, neg, sign, square, the roundings, sqrt and reciprocal (one rounding each). The others have
// the errors that math_f32.h states, and one rounding more for each operation written here. One call of it
// for each element.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct UnaryParams {
    int32_t count;
};

#define MCU_UNARY(name) void name##_f32(const UnaryParams& params, const float* input, float* output);
MCU_UNARY(abs)
MCU_UNARY(acos)
MCU_UNARY(acosh)
MCU_UNARY(asin)
MCU_UNARY(asinh)
MCU_UNARY(atan)
MCU_UNARY(atanh)
MCU_UNARY(ceil)
MCU_UNARY(cos)
MCU_UNARY(cosh)
MCU_UNARY(erf)
MCU_UNARY(exp)
MCU_UNARY(exp2)
MCU_UNARY(expm1)
MCU_UNARY(floor)
MCU_UNARY(gelu)
MCU_UNARY(gelu_tanh)
MCU_UNARY(hardsigmoid)
MCU_UNARY(hardswish)
MCU_UNARY(log)
MCU_UNARY(log10)
MCU_UNARY(log1p)
MCU_UNARY(log2)
MCU_UNARY(neg)
MCU_UNARY(reciprocal)
MCU_UNARY(round)
MCU_UNARY(rsqrt)
MCU_UNARY(sigmoid)
MCU_UNARY(sign)
MCU_UNARY(silu)
MCU_UNARY(sin)
MCU_UNARY(sinh)
MCU_UNARY(sqrt)
MCU_UNARY(square)
MCU_UNARY(tan)
MCU_UNARY(tanh)
MCU_UNARY(trunc)
#undef MCU_UNARY

void isnan_f32(const UnaryParams& params, const float* input, bool* output);
void isinf_f32(const UnaryParams& params, const float* input, bool* output);

}  // namespace mcu::kernels
