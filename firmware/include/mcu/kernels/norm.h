// Normalization of int8 and int16: layer, group, instance and RMS norm.
//
//   k      = elements of a group, d = q - input_zero_point
//   sum    = sum of d over the group where centered, else 0
//   t      = k * (sum of d^2) - sum^2 + epsilon, at least 1
//   x      = (k * d - sum) / sqrt(t), with 19 bits behind the point
//   output = clamp((((x * weight >> shift) + bias) >> 16) + output_zero_point, -128, 127)
//
// norm_s16 has zero points of 0, 12 bits in place of 16 behind the point before the last rounding, and at
// most 2^15 elements in a group.
//
// All shifts round: half of their unit is added first. 1 / sqrt(t) is 2^61 / floor(sqrt(t * 4^e)), where e
// leaves t * 4^e of 61 or 62 bits. epsilon is in the units of t. A group is channels_per_group channels of
// one batch with all their positions; element (n, c, p) lies at n * strides.batch + c * strides.channel + p *
// strides.position. weight and bias have an entry for each channel, or one for all (parameter_stride 0). A
// group has at most 2^22 elements, epsilon at most 2^61: all sums and products fit 64 bits. Exact, equal to
// mcu_build::norm (python/mcu_build/arithmetic/int8.py). Inner loops: one of a load and a multiply-add, one
// of two products of 64 bits an element, and a root and a division a group.

#pragma once

#include <cstdint>

#include "mcu/kernels/round_s16.h"

namespace mcu::kernels {

struct NormStrides {
    int32_t batch;
    int32_t channel;
    int32_t position;
};

struct NormParams {
    int32_t batches;
    int32_t groups;
    int32_t channels_per_group;
    int32_t positions;
    NormStrides strides;
    int32_t parameter_stride;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t shift;
    bool centered;
    int64_t epsilon;
};

struct NormS16Params {
    int32_t batches;
    int32_t groups;
    int32_t channels_per_group;
    int32_t positions;
    NormStrides strides;
    int32_t parameter_stride;
    int32_t shift;
    bool centered;
    int64_t epsilon;
};

void norm_s8(const NormParams& params, const int8_t* input, const int32_t* weight, const int32_t* bias,
             int8_t* output);
void norm_s16(const NormS16Params& params, const int16_t* input, const int32_t* weight, const int32_t* bias,
              int16_t* output);

}  // namespace mcu::kernels
