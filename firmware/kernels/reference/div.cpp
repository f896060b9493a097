#include "mcu/kernels/div.h"

#include <limits>

#include "mcu/kernels/math_f32.h"

namespace mcu::kernels {
namespace {

template <typename Q>
void div(const DivParams& params, const Q* first, const Q* second, Q* output) {
    for_each_pair(params.space, first, second, output, [&params](Q a, Q b) {
        constexpr auto kLow = static_cast<float>(std::numeric_limits<Q>::min());
        constexpr auto kHigh = static_cast<float>(std::numeric_limits<Q>::max());
        const int32_t divisor = b - params.second_zero_point;
        // Zero over one where the divisor is zero. Chosen as integers: a conditional conversion to float
        // makes gcc 12 write vcvtne.f32.s32 for the Cortex-M55, which its assembler refuses.
        const auto x = static_cast<float>(divisor != 0 ? a - params.first_zero_point : 0);
        const auto y = static_cast<float>(divisor != 0 ? divisor : 1);
        const float quotient = x / y;
        const float q = math::rint(quotient * params.scale) + static_cast<float>(params.zero_point);
        // Clamped as a float: a huge value must not reach the conversion.
        return static_cast<Q>(q > kLow ? (q < kHigh ? q : kHigh) : kLow);
    });
}

}  // namespace

void div_s8(const DivParams& params, const int8_t* first, const int8_t* second, int8_t* output) {
    div(params, first, second, output);
}

void div_s16(const DivParams& params, const int16_t* first, const int16_t* second, int16_t* output) {
    div(params, first, second, output);
}

}  // namespace mcu::kernels
