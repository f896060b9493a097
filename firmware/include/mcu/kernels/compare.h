// Compare pairs of numbers, broadcast (broadcast.h): eq a = b, ne, lt a < b, le, gt, ge.
//
// Exact. A NaN is equal to nothing and neither less nor greater than anything.

#pragma once

#include <cstdint>

#include "mcu/kernels/broadcast.h"

namespace mcu::kernels {

struct CompareParams {
    Broadcast space;
};

#define MCU_COMPARE(suffix, type)                                                                       \
    void eq_##suffix(const CompareParams& params, const type* first, const type* second, bool* output); \
    void ne_##suffix(const CompareParams& params, const type* first, const type* second, bool* output); \
    void lt_##suffix(const CompareParams& params, const type* first, const type* second, bool* output); \
    void le_##suffix(const CompareParams& params, const type* first, const type* second, bool* output); \
    void gt_##suffix(const CompareParams& params, const type* first, const type* second, bool* output); \
    void ge_##suffix(const CompareParams& params, const type* first, const type* second, bool* output);
MCU_COMPARE(s8, int8_t)
MCU_COMPARE(s16, int16_t)
MCU_COMPARE(s32, int32_t)
MCU_COMPARE(s64, int64_t)
MCU_COMPARE(f32, float)
#undef MCU_COMPARE

}  // namespace mcu::kernels
