// Normalization of floats.
//
//   y = (x - mean) / sqrt(variance + epsilon) * weight + bias
//
//   layer_norm  mean and variance of each row; weight and bias have an entry for each element of a row
//   group_norm  mean and variance of each group of channels; weight and bias an entry for each channel
//   batch_norm  all four are given for each channel
//
// weight and bias may be null (1 and 0). Rows are dense. An image is [batch][channel][pixel] with a stride
// for each, in elements, the same for input and output: it may be channels-first or channels-last. Group g
// holds the channels from g * channels_per_group. The variance is the mean of (x - mean)^2, taken in a second
// pass. Sums are taken in order, one rounding each. Three passes over the data, one multiply-add for each
// element.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct LayerNormParams {
    int32_t rows;
    int32_t size;
    float epsilon;
};

struct ImageStrides {
    int32_t batch;
    int32_t channel;
    int32_t pixel;
};

struct GroupNormParams {
    int32_t batches;
    int32_t groups;
    int32_t channels_per_group;
    int32_t pixels;
    ImageStrides strides;
    float epsilon;
};

struct BatchNormParams {
    int32_t batches;
    int32_t channels;
    int32_t pixels;
    ImageStrides strides;
    float epsilon;
};

void layer_norm_f32(const LayerNormParams& params, const float* input, const float* weight, const float* bias,
                    float* output);
void group_norm_f32(const GroupNormParams& params, const float* input, const float* weight, const float* bias,
                    float* output);
void batch_norm_f32(const BatchNormParams& params, const float* input, const float* weight, const float* bias,
                    const float* mean, const float* variance, float* output);

}  // namespace mcu::kernels
