#include "mcu/kernels/clamp.h"

namespace mcu::kernels {
namespace {

template <typename Params, typename Number>
void clamp(const Params& params, const Number* input, Number* output) {
    const auto low = static_cast<Number>(params.low);
    const auto high = static_cast<Number>(params.high);
    for (int32_t i = 0; i < params.count; ++i) {
        // Written so that a NaN, which compares false, passes.
        const Number raised = input[i] < low ? low : input[i];
        output[i] = raised > high ? high : raised;
    }
}

}  // namespace

void clamp_u8(const ClampParams& params, const uint8_t* input, uint8_t* output) {
    clamp(params, input, output);
}

void clamp_s8(const ClampParams& params, const int8_t* input, int8_t* output) {
    clamp(params, input, output);
}

void clamp_s16(const ClampParams& params, const int16_t* input, int16_t* output) {
    clamp(params, input, output);
}

void clamp_s32(const ClampParams& params, const int32_t* input, int32_t* output) {
    clamp(params, input, output);
}

void clamp_s64(const ClampParams& params, const int64_t* input, int64_t* output) {
    clamp(params, input, output);
}

void clamp_f32(const ClampF32Params& params, const float* input, float* output) {
    clamp(params, input, output);
}

}  // namespace mcu::kernels
