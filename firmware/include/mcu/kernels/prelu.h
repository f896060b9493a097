// PReLU of int8 with a slope for each channel.
//
//   d      = q - input_zero_point
//   output = clamp((d * (d < 0 ? slopes[channel] : positive) >> shift) + output_zero_point, -128, 127)
//
// The shift rounds: half of its unit is added first. Layouts: input and output [outer][channel][inner]:
// images that are channels-last have inner 1. positive and slopes are below 2^22, so that 32 bits hold
// everything; shift is 1 ... 30. Exact. Inner loop: a load, a choice of the factor, a multiply-add, a shift,
// a clamp and a store an element. Source: mcu_build::prelu (python/mcu_build/arithmetic/int8.py).

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct PreluParams {
    int32_t outer;
    int32_t channels;
    int32_t inner;
    int32_t positive;
    int32_t shift;
    int32_t input_zero_point;
    int32_t output_zero_point;
};

void prelu_s8(const PreluParams& params, const int8_t* input, const int32_t* slopes, int8_t* output);

}  // namespace mcu::kernels
