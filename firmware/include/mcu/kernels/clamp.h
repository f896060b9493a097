// Limit values to a range.
//
//   output[i] = min(max(input[i], low), high)
//
// Exact. A NaN stays a NaN. Where low > high everything becomes high, as in PyTorch.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct ClampParams {
    int32_t count;
    int64_t low;
    int64_t high;
};

struct ClampF32Params {
    int32_t count;
    float low;
    float high;
};

void clamp_u8(const ClampParams& params, const uint8_t* input, uint8_t* output);
void clamp_s8(const ClampParams& params, const int8_t* input, int8_t* output);
void clamp_s16(const ClampParams& params, const int16_t* input, int16_t* output);
void clamp_s32(const ClampParams& params, const int32_t* input, int32_t* output);
void clamp_s64(const ClampParams& params, const int64_t* input, int64_t* output);
void clamp_f32(const ClampF32Params& params, const float* input, float* output);

}  // namespace mcu::kernels
