// Four values at once: two gathering loads of neighbouring entries, and a product that VRSHL rounds.

#include "mcu/kernels/lookup_s16.h"

#include <arm_mve.h>

namespace mcu::kernels {

void lookup_s16(const LookupS16Params& params, const int16_t* input, const int16_t* table, int16_t* output) {
    const uint32x4_t mask = vdupq_n_u32((1u << params.bits) - 1);
    const int32x4_t right = vdupq_n_s32(-params.bits);
    for (int32_t left = params.count; left > 0; left -= 4) {
        const mve_pred16_t inside = vctp32q(static_cast<uint32_t>(left));
        const uint32x4_t place = vreinterpretq_u32_s32(vaddq_n_s32(vldrhq_z_s32(input, inside), 32768));
        const uint32x4_t entry = vshlq_u32(place, right);
        const int32x4_t low = vldrhq_gather_shifted_offset_z_s32(table, entry, inside);
        const int32x4_t high = vldrhq_gather_shifted_offset_z_s32(table + 1, entry, inside);
        const int32x4_t rise = vmulq_s32(vsubq_s32(high, low), vreinterpretq_s32_u32(vandq_u32(place, mask)));
        vstrhq_p_s32(output, vaddq_s32(low, vrshlq_s32(rise, right)), inside);
        input += 4;
        output += 4;
    }
}

}  // namespace mcu::kernels
