#include "mcu/kernels/where.h"

namespace mcu::kernels {
namespace {

constexpr int kRank = 6;

// Offset of an operand from the position in all dimensions but the last.
int32_t offset(const int32_t (&position)[kRank], const int32_t (&strides)[kRank]) {
    int32_t sum = 0;
    for (int d = 0; d < kRank - 1; ++d) sum += position[d] * strides[d];
    return sum;
}

// The next position, counting like an odometer; false after the last.
bool advance(int32_t (&position)[kRank], const int32_t (&shape)[kRank]) {
    for (int d = kRank - 2; d >= 0; --d) {
        if (++position[d] < shape[d]) return true;
        position[d] = 0;
    }
    return false;
}

template <typename Number>
void where(const WhereParams& params, const bool* condition, const Number* first, const Number* second,
           Number* output) {
    int32_t position[kRank] = {};
    do {
        const bool* c = condition + offset(position, params.condition);
        const Number* x = first + offset(position, params.first);
        const Number* y = second + offset(position, params.second);
        for (int32_t i = 0; i < params.shape[5]; ++i) {
            *output++ = c[i * params.condition[5]] ? x[i * params.first[5]] : y[i * params.second[5]];
        }
    } while (advance(position, params.shape));
}

}  // namespace

#define MCU_WHERE(suffix, type)                                                              \
    void where_##suffix(const WhereParams& params, const bool* condition, const type* first, \
                        const type* second, type* output) {                                  \
        where(params, condition, first, second, output);                                     \
    }
MCU_WHERE(bool, bool)
MCU_WHERE(u8, uint8_t)
MCU_WHERE(s8, int8_t)
MCU_WHERE(s16, int16_t)
MCU_WHERE(s32, int32_t)
MCU_WHERE(s64, int64_t)
MCU_WHERE(f32, float)

}  // namespace mcu::kernels
