#include "mcu/kernels/norm_f32.h"

#include "mcu/kernels/math_f32.h"

namespace mcu::kernels {
namespace {

// y = (x - mean) * scale
struct Moments {
    float mean;
    float scale;
};

// Of the elements that `element(i)` gives for i below `count`.
template <typename Element>
Moments moments(int32_t count, float epsilon, const Element& element) {
    float sum = 0.0f;
    for (int32_t i = 0; i < count; ++i) sum += element(i);
    const float mean = sum / static_cast<float>(count);
    float squares = 0.0f;
    for (int32_t i = 0; i < count; ++i) {
        const float distance = element(i) - mean;
        squares += distance * distance;
    }
    return {mean, math::rsqrt(squares / static_cast<float>(count) + epsilon)};
}

float entry(const float* values, int32_t index, float otherwise) {
    return values != nullptr ? values[index] : otherwise;
}

// All pixels of one channel.
void normalize_channel(const Moments& by, float weight, float bias, int32_t pixels, int32_t stride,
                       const float* input, float* output) {
    for (int32_t p = 0; p < pixels; ++p) {
        output[p * stride] = (input[p * stride] - by.mean) * by.scale * weight + bias;
    }
}

}  // namespace

void layer_norm_f32(const LayerNormParams& params, const float* input, const float* weight, const float* bias,
                    float* output) {
    for (int32_t row = 0; row < params.rows; ++row) {
        const Moments by = moments(params.size, params.epsilon, [&](int32_t i) { return input[i]; });
        for (int32_t i = 0; i < params.size; ++i) {
            output[i] = (input[i] - by.mean) * by.scale * entry(weight, i, 1.0f) + entry(bias, i, 0.0f);
        }
        input += params.size;
        output += params.size;
    }
}

void group_norm_f32(const GroupNormParams& params, const float* input, const float* weight, const float* bias,
                    float* output) {
    const ImageStrides& strides = params.strides;
    for (int32_t batch = 0; batch < params.batches; ++batch) {
        for (int32_t group = 0; group < params.groups; ++group) {
            const int32_t first = group * params.channels_per_group;
            const int32_t start = batch * strides.batch + first * strides.channel;
            const Moments by =
                moments(params.channels_per_group * params.pixels, params.epsilon, [&](int32_t i) {
                    return input[start + i / params.pixels * strides.channel +
                                 i % params.pixels * strides.pixel];
                });
            for (int32_t c = 0; c < params.channels_per_group; ++c) {
                const int32_t at = start + c * strides.channel;
                normalize_channel(by, entry(weight, first + c, 1.0f), entry(bias, first + c, 0.0f),
                                  params.pixels, strides.pixel, input + at, output + at);
            }
        }
    }
}

void batch_norm_f32(const BatchNormParams& params, const float* input, const float* weight, const float* bias,
                    const float* mean, const float* variance, float* output) {
    const ImageStrides& strides = params.strides;
    for (int32_t batch = 0; batch < params.batches; ++batch) {
        for (int32_t c = 0; c < params.channels; ++c) {
            const int32_t at = batch * strides.batch + c * strides.channel;
            const Moments by = {mean[c], math::rsqrt(variance[c] + params.epsilon)};
            normalize_channel(by, entry(weight, c, 1.0f), entry(bias, c, 0.0f), params.pixels, strides.pixel,
                              input + at, output + at);
        }
    }
}

}  // namespace mcu::kernels
