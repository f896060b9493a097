// The smaller or the larger of two values, element by element.
//
// Operands in any memory layout, broadcast (broadcast.h). Exact. Floats: a NaN in either operand gives a
// NaN. Source: cortex_m::minimum and cortex_m::maximum.

#pragma once

#include <cstdint>

#include "mcu/kernels/broadcast.h"

namespace mcu::kernels {

struct MinMaxParams {
    Broadcast space;
};

void minimum_s8(const MinMaxParams& params, const int8_t* first, const int8_t* second, int8_t* output);
void minimum_s16(const MinMaxParams& params, const int16_t* first, const int16_t* second, int16_t* output);
void minimum_s32(const MinMaxParams& params, const int32_t* first, const int32_t* second, int32_t* output);
void minimum_s64(const MinMaxParams& params, const int64_t* first, const int64_t* second, int64_t* output);
void minimum_f32(const MinMaxParams& params, const float* first, const float* second, float* output);

void maximum_s8(const MinMaxParams& params, const int8_t* first, const int8_t* second, int8_t* output);
void maximum_s16(const MinMaxParams& params, const int16_t* first, const int16_t* second, int16_t* output);
void maximum_s32(const MinMaxParams& params, const int32_t* first, const int32_t* second, int32_t* output);
void maximum_s64(const MinMaxParams& params, const int64_t* first, const int64_t* second, int64_t* output);
void maximum_f32(const MinMaxParams& params, const float* first, const float* second, float* output);

}  // namespace mcu::kernels
