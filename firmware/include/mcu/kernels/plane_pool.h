// Pooling of plain (not quantized) images and volumes in any memory layout (planes.h).
//
//   max_pool            the largest entry of each window; a NaN wins
//   max_pool_indices    its position in the input's plane, (depth * rows + row) * columns + column; the first
//                       of equals
//   avg_pool            sum of each window / divisor
//   adaptive_max_pool   as max_pool over the window from floor(y in / out) to ceil((y + 1) in / out), depth
//                       and columns likewise; adaptive_max_pool_indices its position
//   adaptive_avg_pool   mean over the same window
//   ..._quantized_s8    dequantize, the average in floats, quantize (quantize.h): no image of floats
//
// Entries outside the image do not take part. The divisor of avg_pool is `divisor` where that is not 0, else
// the entries of the window inside the padded image (`count_padding`) or inside the image. Max is exact; a
// sum is taken in the order of the plane, one rounding each. One load and one operation for each entry of a
// window.

#pragma once

#include <cstdint>

#include "mcu/kernels/planes.h"
#include "mcu/kernels/quantize.h"

namespace mcu::kernels {

struct PlanePoolParams {
    Planes input;
    Planes output;
    int32_t kernel[3];  // depth, rows, columns; the same below
    int32_t stride[3];
    int32_t padding[3];
    int32_t dilation[3];
    bool count_padding;
    int32_t divisor;
};

struct AdaptivePoolParams {
    Planes input;
    Planes output;
};

struct QuantizedPoolParams {
    PlanePoolParams pool;
    DequantizeParams input;
    QuantizeParams output;
};

struct QuantizedAdaptivePoolParams {
    AdaptivePoolParams pool;
    DequantizeParams input;
    QuantizeParams output;
};

void max_pool_s8(const PlanePoolParams& params, const int8_t* input, int8_t* output);
void max_pool_f32(const PlanePoolParams& params, const float* input, float* output);
void max_pool_indices_s8(const PlanePoolParams& params, const int8_t* input, int64_t* output);
void max_pool_indices_f32(const PlanePoolParams& params, const float* input, int64_t* output);
void avg_pool_f32(const PlanePoolParams& params, const float* input, float* output);
void adaptive_max_pool_s8(const AdaptivePoolParams& params, const int8_t* input, int8_t* output);
void adaptive_max_pool_f32(const AdaptivePoolParams& params, const float* input, float* output);
void adaptive_max_pool_indices_s8(const AdaptivePoolParams& params, const int8_t* input, int64_t* output);
void adaptive_max_pool_indices_f32(const AdaptivePoolParams& params, const float* input, int64_t* output);
void adaptive_avg_pool_f32(const AdaptivePoolParams& params, const float* input, float* output);
void avg_pool_quantized_s8(const QuantizedPoolParams& params, const int8_t* input, int8_t* output);
void adaptive_avg_pool_quantized_s8(const QuantizedAdaptivePoolParams& params, const int8_t* input,
                                    int8_t* output);

}  // namespace mcu::kernels
