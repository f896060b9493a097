// Change the element type.
//
//   output[i] = input[i] as the other type
//
// Between integers the low bits are kept. Float to integer rounds towards zero; values outside the range (for
// which C++ and PyTorch define nothing) become the nearest end of it and a NaN becomes 0, on every core. To
// bool: whether it is not 0. Integer to float rounds to nearest even.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct ConvertParams {
    int32_t count;
};

#define MCU_CONVERT(from, from_type)                                                    \
    void convert_##from##_u8(const ConvertParams&, const from_type* in, uint8_t* out);  \
    void convert_##from##_s8(const ConvertParams&, const from_type* in, int8_t* out);   \
    void convert_##from##_s16(const ConvertParams&, const from_type* in, int16_t* out); \
    void convert_##from##_s32(const ConvertParams&, const from_type* in, int32_t* out); \
    void convert_##from##_s64(const ConvertParams&, const from_type* in, int64_t* out); \
    void convert_##from##_f32(const ConvertParams&, const from_type* in, float* out);   \
    void convert_##from##_bool(const ConvertParams&, const from_type* in, bool* out);

MCU_CONVERT(u8, uint8_t)
MCU_CONVERT(s8, int8_t)
MCU_CONVERT(s16, int16_t)
MCU_CONVERT(s32, int32_t)
MCU_CONVERT(s64, int64_t)
MCU_CONVERT(f32, float)
MCU_CONVERT(bool, bool)
#undef MCU_CONVERT

}  // namespace mcu::kernels
