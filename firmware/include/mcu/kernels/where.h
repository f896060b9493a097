// Choose between two values, element by element.
//
//   output[...] = condition[...] ? first[...] : second[...]
//
// All three broadcast: strides are in elements, 0 along a dimension in which the operand is repeated. The
// output is dense, outermost dimension first; unused leading dimensions have shape 1. Exact.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct WhereParams {
    int32_t shape[6];
    int32_t condition[6];
    int32_t first[6];
    int32_t second[6];
};

#define MCU_WHERE(suffix, type)                                                              \
    void where_##suffix(const WhereParams& params, const bool* condition, const type* first, \
                        const type* second, type* output);
MCU_WHERE(bool, bool)
MCU_WHERE(u8, uint8_t)
MCU_WHERE(s8, int8_t)
MCU_WHERE(s16, int16_t)
MCU_WHERE(s32, int32_t)
MCU_WHERE(s64, int64_t)
MCU_WHERE(f32, float)
#undef MCU_WHERE

}  // namespace mcu::kernels
