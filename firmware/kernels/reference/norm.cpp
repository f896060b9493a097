#include "mcu/kernels/norm.h"

namespace mcu::kernels {
namespace {

constexpr int32_t kNormalizedBits = 19;
constexpr int32_t kResultBits = 16;

// A factor of 31 bits and the shift to the right that belongs to it.
struct Factor {
    int64_t multiplier;
    int32_t shift;
};

int64_t rounding_shift(int64_t value, int32_t bits) {
    return (value + (int64_t{1} << (bits - 1))) >> bits;
}

// floor(sqrt(value)) for values below 2^62.
uint32_t root(uint64_t value) {
    uint64_t found = 0;
    for (uint64_t bit = uint64_t{1} << 60; bit != 0; bit >>= 2) {
        const uint64_t next = found + bit;
        found >>= 1;
        if (value >= next) {
            value -= next;
            found += bit;
        }
    }
    return static_cast<uint32_t>(found);
}

// 2^19 / sqrt(value) for values in [1, 2^62).
Factor inverse_root(uint64_t value) {
    int32_t half = 0;
    for (; value < uint64_t{1} << 60; value <<= 2) {
        ++half;
    }
    return {static_cast<int64_t>((uint64_t{1} << 61) / root(value)), 61 - kNormalizedBits - half};
}

template <typename Function>
void for_each_element(const NormParams& params, const Function& function) {
    for (int32_t p = 0; p < params.positions; ++p) {
        for (int32_t c = 0; c < params.channels_per_group; ++c) {
            function(p * params.strides.position + c * params.strides.channel, c * params.parameter_stride);
        }
    }
}

void norm_group(const NormParams& params, const int8_t* input, const int32_t* weight, const int32_t* bias,
                int8_t* output) {
    const int64_t count = params.channels_per_group * params.positions;
    int64_t sum = 0;
    int64_t squares = 0;
    for_each_element(params, [&](int32_t at, int32_t) {
        const int32_t d = input[at] - params.input_zero_point;
        sum += d;
        squares += d * d;
    });
    sum = params.centered ? sum : 0;
    const int64_t spread = count * squares - sum * sum + params.epsilon;
    const Factor factor = inverse_root(static_cast<uint64_t>(spread > 0 ? spread : 1));
    for_each_element(params, [&](int32_t at, int32_t channel) {
        const int64_t difference = count * (input[at] - params.input_zero_point) - sum;
        const int64_t normalized = rounding_shift(difference * factor.multiplier, factor.shift);
        const int64_t steps = rounding_shift(normalized * weight[channel], params.shift) + bias[channel];
        const int64_t moved = rounding_shift(steps, kResultBits) + params.output_zero_point;
        output[at] = static_cast<int8_t>(moved < -128 ? -128 : (moved > 127 ? 127 : moved));
    });
}

}  // namespace

void norm_s8(const NormParams& params, const int8_t* input, const int32_t* weight, const int32_t* bias,
             int8_t* output) {
    for (int32_t n = 0; n < params.batches; ++n) {
        for (int32_t g = 0; g < params.groups; ++g) {
            const int32_t first = g * params.channels_per_group;
            const int32_t start = n * params.strides.batch + first * params.strides.channel;
            const int32_t parameters = first * params.parameter_stride;
            norm_group(params, input + start, weight + parameters, bias + parameters, output + start);
        }
    }
}

}  // namespace mcu::kernels
