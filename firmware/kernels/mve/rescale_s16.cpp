// Four elements at once: the high half of a product, which VRSHL rounds.

#include "mcu/kernels/rescale_s16.h"

#include <arm_mve.h>

namespace mcu::kernels {
namespace {

constexpr int32_t kLanes = 4;
// Differences of int8 and int16 have 17 bits.
constexpr int32_t kLargest = 65535;

inline int32x4_t load(const int8_t* from, mve_pred16_t some) {
    return vldrbq_z_s32(from, some);
}
inline int32x4_t load(const int16_t* from, mve_pred16_t some) {
    return vldrhq_z_s32(from, some);
}
inline void store(int8_t* to, int32x4_t values, mve_pred16_t some) {
    vstrbq_p_s32(to, values, some);
}
inline void store(int16_t* to, int32x4_t values, mve_pred16_t some) {
    vstrhq_p_s32(to, values, some);
}

template <typename In, typename Out>
void rescale(const RescaleS16Params& given, const In* input, Out* output) {
    const RescaleS16Params params = given;  // which stores cannot change
    if (!fits_high_scale(kLargest, params.shift)) {
        for (int32_t i = 0; i < params.count; ++i) {
            const int64_t moved =
                rounded(input[i] - params.input_zero_point, params.multiplier, params.shift);
            output[i] = static_cast<Out>(bounded_s16(moved + params.output_zero_point, params.bounds));
        }
        return;
    }
    const HighScale scale = high_scale(params.multiplier, params.shift);
    const int32x4_t low = vdupq_n_s32(params.bounds.low);
    const int32x4_t high = vdupq_n_s32(params.bounds.high);
    const int32x4_t multiplier = vdupq_n_s32(scale.multiplier);
    for (int32_t left = params.count; left > 0; left -= kLanes, input += kLanes, output += kLanes) {
        const mve_pred16_t some = vctp32q(static_cast<uint32_t>(left));
        int32x4_t value = vaddq_n_s32(load(input, some), -params.input_zero_point);
        value = vrshlq_n_s32(vmulhq_s32(vshlq_r_s32(value, scale.left), multiplier), -scale.right);
        value = vaddq_n_s32(value, params.output_zero_point);
        store(output, vminq_s32(vmaxq_s32(value, low), high), some);
    }
}

}  // namespace

void rescale_s8_s16(const RescaleS16Params& params, const int8_t* input, int16_t* output) {
    rescale(params, input, output);
}

void rescale_s16_s8(const RescaleS16Params& params, const int16_t* input, int8_t* output) {
    rescale(params, input, output);
}

void rescale_s16_s16(const RescaleS16Params& params, const int16_t* input, int16_t* output) {
    rescale(params, input, output);
}

}  // namespace mcu::kernels
