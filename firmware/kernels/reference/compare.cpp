#include "mcu/kernels/compare.h"

#include <functional>

namespace mcu::kernels {

#define MCU_COMPARE(name, type, function)                                                         \
    void name(const CompareParams& params, const type* first, const type* second, bool* output) { \
        for_each_pair(params.space, first, second, output, function{});                           \
    }
#define MCU_COMPARES(suffix, type)                      \
    MCU_COMPARE(eq_##suffix, type, std::equal_to<>)     \
    MCU_COMPARE(ne_##suffix, type, std::not_equal_to<>) \
    MCU_COMPARE(lt_##suffix, type, std::less<>)         \
    MCU_COMPARE(le_##suffix, type, std::less_equal<>)   \
    MCU_COMPARE(gt_##suffix, type, std::greater<>)      \
    MCU_COMPARE(ge_##suffix, type, std::greater_equal<>)

MCU_COMPARES(s8, int8_t)
MCU_COMPARES(s16, int16_t)
MCU_COMPARES(s32, int32_t)
MCU_COMPARES(s64, int64_t)
MCU_COMPARES(f32, float)

}  // namespace mcu::kernels
