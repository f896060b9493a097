#include "mcu/kernels/convert.h"

#include <limits>
#include <type_traits>

namespace mcu::kernels {
namespace {

template <typename To>
To from_float(float value) {
    using Limits = std::numeric_limits<To>;
    // -min is a power of two, so both ends are exact as floats where max itself need not be.
    constexpr auto end = static_cast<float>(Limits::max() / 2 + 1) * 2.0f;
    constexpr auto low = static_cast<float>(Limits::min());
    if (value >= end) return Limits::max();
    if (value <= low) return Limits::min();
    // Only a NaN is neither above nor below.
    return value == value ? static_cast<To>(value) : To{0};
}

template <typename From, typename To>
void convert(const ConvertParams& params, const From* in, To* out) {
    for (int32_t i = 0; i < params.count; ++i) {
        if constexpr (std::is_same_v<To, bool>) {
            out[i] = in[i] != From{0};
        } else if constexpr (std::is_same_v<From, float> && !std::is_same_v<To, float>) {
            out[i] = from_float<To>(in[i]);
        } else {
            out[i] = static_cast<To>(in[i]);
        }
    }
}

}  // namespace

#define MCU_CONVERT_TO(from, from_type, to, to_type)                                             \
    void convert_##from##_##to(const ConvertParams& params, const from_type* in, to_type* out) { \
        convert(params, in, out);                                                                \
    }
#define MCU_CONVERT(from, type)              \
    MCU_CONVERT_TO(from, type, u8, uint8_t)  \
    MCU_CONVERT_TO(from, type, s8, int8_t)   \
    MCU_CONVERT_TO(from, type, s16, int16_t) \
    MCU_CONVERT_TO(from, type, s32, int32_t) \
    MCU_CONVERT_TO(from, type, s64, int64_t) \
    MCU_CONVERT_TO(from, type, f32, float)   \
    MCU_CONVERT_TO(from, type, bool, bool)

MCU_CONVERT(u8, uint8_t)
MCU_CONVERT(s8, int8_t)
MCU_CONVERT(s16, int16_t)
MCU_CONVERT(s32, int32_t)
MCU_CONVERT(s64, int64_t)
MCU_CONVERT(f32, float)
MCU_CONVERT(bool, bool)

}  // namespace mcu::kernels
