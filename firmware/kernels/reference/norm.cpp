#include "mcu/kernels/norm.h"

#include "mcu/kernels/inverse_root.h"

namespace mcu::kernels {
namespace {

constexpr int32_t kResultBits = 16;
constexpr int32_t kResultBitsS16 = 12;

int64_t rounding_shift(int64_t value, int32_t bits) {
    return (value + (int64_t{1} << (bits - 1))) >> bits;
}

template <typename Params, typename Function>
void for_each_element(const Params& params, const Function& function) {
    for (int32_t p = 0; p < params.positions; ++p) {
        for (int32_t c = 0; c < params.channels_per_group; ++c) {
            function(p * params.strides.position + c * params.strides.channel, c * params.parameter_stride);
        }
    }
}

// Calls finish(place, steps) with each result of a group before its last rounding.
template <typename Params, typename Number, typename Finish>
void norm_group(const Params& params, int32_t zero_point, const Number* input, const int32_t* weight,
                const int32_t* bias, const Finish& finish) {
    const int64_t count = params.channels_per_group * params.positions;
    int64_t sum = 0;
    int64_t squares = 0;
    for_each_element(params, [&](int32_t at, int32_t) {
        const int32_t d = input[at] - zero_point;
        sum += d;
        squares += d * d;
    });
    sum = params.centered ? sum : 0;
    const int64_t spread = count * squares - sum * sum + params.epsilon;
    const InverseRoot factor = inverse_root(static_cast<uint64_t>(spread > 0 ? spread : 1));
    // Differences and what is normalized have 32 bits: products of two of those are one instruction.
    const auto elements = static_cast<int32_t>(count);
    const auto all = static_cast<int32_t>(sum);
    for_each_element(params, [&](int32_t at, int32_t channel) {
        const int32_t difference = elements * (input[at] - zero_point) - all;
        const auto normalized =
            static_cast<int32_t>(rounding_shift(int64_t{difference} * factor.multiplier, factor.shift));
        finish(at, rounding_shift(int64_t{normalized} * weight[channel], params.shift) + bias[channel]);
    });
}

// Calls group(first element, first parameter) for each group.
template <typename Params, typename Group>
void for_each_group(const Params& params, const Group& group) {
    for (int32_t n = 0; n < params.batches; ++n) {
        for (int32_t g = 0; g < params.groups; ++g) {
            const int32_t first = g * params.channels_per_group;
            group(n * params.strides.batch + first * params.strides.channel, first * params.parameter_stride);
        }
    }
}

}  // namespace

void norm_s8(const NormParams& params, const int8_t* input, const int32_t* weight, const int32_t* bias,
             int8_t* output) {
    for_each_group(params, [&](int32_t start, int32_t first) {
        int8_t* const to = output + start;
        norm_group(params, params.input_zero_point, input + start, weight + first, bias + first,
                   [&params, to](int32_t at, int64_t steps) {
                       const int64_t moved = rounding_shift(steps, kResultBits) + params.output_zero_point;
                       to[at] = static_cast<int8_t>(moved < -128 ? -128 : (moved > 127 ? 127 : moved));
                   });
    });
}

void norm_s16(const NormS16Params& params, const int16_t* input, const int32_t* weight, const int32_t* bias,
              int16_t* output) {
    for_each_group(params, [&](int32_t start, int32_t first) {
        int16_t* const to = output + start;
        norm_group(params, 0, input + start, weight + first, bias + first, [to](int32_t at, int64_t steps) {
            to[at] = saturated_s16(rounding_shift(steps, kResultBitsS16));
        });
    });
}

}  // namespace mcu::kernels
