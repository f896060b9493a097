// Running results along one dimension of a dense tensor, seen as [outer][size][inner].
//
//   cumprod  product of the entries up to this one
//   cummax   the largest entry up to this one, and where it stands: the last of equals; cummin the smallest
//
// Products are taken in order, one rounding each; integers keep the low bits. A NaN stays from where it
// stands. One operation for each element.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct ScanParams {
    int32_t outer;
    int32_t size;
    int32_t inner;
};

void cumprod_f32(const ScanParams& params, const float* input, float* output);
void cumprod_s64(const ScanParams& params, const int64_t* input, int64_t* output);

#define MCU_EXTREME_SCAN(suffix, type)                                                                 \
    void cummax_##suffix(const ScanParams& params, const type* input, type* values, int64_t* indices); \
    void cummin_##suffix(const ScanParams& params, const type* input, type* values, int64_t* indices);
MCU_EXTREME_SCAN(s8, int8_t)
MCU_EXTREME_SCAN(s16, int16_t)
MCU_EXTREME_SCAN(s32, int32_t)
MCU_EXTREME_SCAN(s64, int64_t)
MCU_EXTREME_SCAN(f32, float)
#undef MCU_EXTREME_SCAN

}  // namespace mcu::kernels
