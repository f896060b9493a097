// Change the size of images in any memory layout (planes.h).
//
//   nearest   output[y, x] = input[min(floor(y scale), rows - 1), ... x ...]
//   bilinear  the mean of the four pixels around (y', x'), weighted by nearness, where y' is y scale with
//             aligned corners, else max((y + 0.5) scale - 0.5, 0); x' likewise
//
// Positions are computed in float as PyTorch does. nearest is exact; bilinear rounds once for each operation.

#pragma once

#include <cstdint>

#include "mcu/kernels/planes.h"

namespace mcu::kernels {

struct ResizeParams {
    Planes input;
    Planes output;
    float scale[2];  // rows, columns: step in the input for a step in the output
    bool align_corners;
};

void resize_nearest_u8(const ResizeParams& params, const uint8_t* input, uint8_t* output);
void resize_nearest_s8(const ResizeParams& params, const int8_t* input, int8_t* output);
void resize_nearest_s16(const ResizeParams& params, const int16_t* input, int16_t* output);
void resize_nearest_f32(const ResizeParams& params, const float* input, float* output);
void resize_bilinear_f32(const ResizeParams& params, const float* input, float* output);

}  // namespace mcu::kernels
