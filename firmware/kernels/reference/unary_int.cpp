#include "mcu/kernels/unary_int.h"

#include <type_traits>

namespace mcu::kernels {
namespace {

// In unsigned arithmetic, where the negative of the most negative value is defined: itself.
template <typename Number>
Number negative(Number x) {
    return static_cast<Number>(0u - static_cast<std::make_unsigned_t<Number>>(x));
}

}  // namespace

#define MCU_UNARY_INT(name, suffix, type, expression)                                  \
    void name##_##suffix(const UnaryParams& params, const type* input, type* output) { \
        for (int32_t i = 0; i < params.count; ++i) {                                   \
            const type x = input[i];                                                   \
            output[i] = static_cast<type>(expression);                                 \
        }                                                                              \
    }
#define MCU_UNARY_INTS(suffix, type)                          \
    MCU_UNARY_INT(abs, suffix, type, x < 0 ? negative(x) : x) \
    MCU_UNARY_INT(neg, suffix, type, negative(x))             \
    MCU_UNARY_INT(sign, suffix, type, (x > 0) - (x < 0))      \
    MCU_UNARY_INT(bitwise_not, suffix, type, ~x)

MCU_UNARY_INTS(s8, int8_t)
MCU_UNARY_INTS(s16, int16_t)
MCU_UNARY_INTS(s32, int32_t)
MCU_UNARY_INTS(s64, int64_t)
MCU_UNARY_INT(bitwise_not, bool, bool, !x)

}  // namespace mcu::kernels
