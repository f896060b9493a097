// Rows of elements side by side, four at once: two gathering loads of the table for a power.

#include "mcu/kernels/softmax_s16.h"

#include <arm_mve.h>

#include "mcu/kernels/powers_s16.h"

namespace mcu::kernels {
namespace {

constexpr int32_t kLanes = 4;

// What counts of four elements: those of the row, and of the mask where there is one.
inline mve_pred16_t counting(int32_t left, const uint8_t* mask, int32_t at) {
    const mve_pred16_t some = vctp32q(static_cast<uint32_t>(left));
    return mask == nullptr
               ? some
               : vcmpneq_m_n_s32(vldrbq_z_s32(reinterpret_cast<const int8_t*>(mask) + at, some), 0, some);
}

// As Powers::operator(), of four differences; 0 where nothing counts.
inline uint32x4_t powers_of(const powers::Powers& power, int32x4_t below, mve_pred16_t some) {
    const HighScale& scale = power.scale();
    const int32x4_t moved = vshlq_r_s32(below, scale.left);
    const int32x4_t octaves = vrshlq_n_s32(vmulhq_s32(moved, vdupq_n_s32(scale.multiplier)), -scale.right);
    const int32x4_t fraction = vandq_s32(octaves, vdupq_n_s32((1 << powers::kOctaveBits) - 1));
    const uint32x4_t entry = vreinterpretq_u32_s32(vshrq_n_s32(fraction, powers::kStepBits));
    const int32x4_t high = vldrwq_gather_shifted_offset_z_s32(power.table(), entry, some);
    const int32x4_t low = vldrwq_gather_shifted_offset_z_s32(power.table() + 1, entry, some);
    const int32x4_t rest = vandq_s32(octaves, vdupq_n_s32((1 << powers::kStepBits) - 1));
    const int32x4_t fall = vrshrq_n_s32(vmulq_s32(vsubq_s32(low, high), rest), powers::kStepBits);
    const int32x4_t whole = vshrq_n_s32(octaves, powers::kOctaveBits);
    // A shift is the lowest byte of a lane: one of 63 leaves nothing, as a longer one does.
    const int32x4_t shift = vminq_s32(whole, vdupq_n_s32(63));
    return vrshlq_u32(vreinterpretq_u32_s32(vaddq_s32(high, fall)), vnegq_s32(shift));
}

void shares(int32_t count, const int16_t* input, const uint8_t* mask, const powers::Powers& power,
            int16_t* output) {
    int32_t highest = -32768;
    for (int32_t i = 0; i < count; i += kLanes) {
        const mve_pred16_t some = counting(count - i, mask, i);
        highest = vmaxvq_p_s32(highest, vldrhq_z_s32(input + i, some), some);
    }
    const int32x4_t top = vdupq_n_s32(highest);
    uint64_t sum = 0;
    for (int32_t i = 0; i < count; i += kLanes) {
        const mve_pred16_t some = counting(count - i, mask, i);
        sum =
            vaddlvaq_p_u32(sum, powers_of(power, vsubq_s32(top, vldrhq_z_s32(input + i, some)), some), some);
    }
    constexpr int32_t kRight = powers::kInverseBits - powers::kShareBits - 32;
    const uint32x4_t inverse = vdupq_n_u32(powers::inverse_of(static_cast<int64_t>(sum)));
    for (int32_t i = 0; i < count; i += kLanes) {
        const mve_pred16_t some = counting(count - i, mask, i);
        const uint32x4_t part = powers_of(power, vsubq_s32(top, vldrhq_z_s32(input + i, some)), some);
        const uint32x4_t share =
            vminq_u32(vrshrq_n_u32(vmulhq_u32(part, inverse), kRight), vdupq_n_u32(32767));
        vstrhq_p_s32(output + i, vreinterpretq_s32_u32(share), vctp32q(static_cast<uint32_t>(count - i)));
    }
}

}  // namespace

void softmax_s16(const SoftmaxS16Params& params, const int16_t* input, const int32_t* table,
                 int16_t* output) {
    const powers::Powers power(table, params.multiplier, params.shift);
    for (int32_t o = 0; o < params.outer;
         ++o, input += params.axis * params.inner, output += params.axis * params.inner) {
        if (params.inner == 1 && power.is_high()) {
            shares(params.axis, input, nullptr, power, output);
            continue;
        }
        for (int32_t i = 0; i < params.inner; ++i) {
            powers::shares(params.axis, params.inner, input + i, nullptr, power, output + i);
        }
    }
}

void masked_softmax_s16(const MaskedSoftmaxS16Params& params, const int16_t* input, const void* mask,
                        const int32_t* table, int16_t* output) {
    const powers::Powers power(table, params.multiplier, params.shift);
    const auto* const flags = static_cast<const uint8_t*>(mask);
    for (int32_t b = 0; b < params.batches; ++b) {
        for (int32_t r = 0; r < params.rows; ++r) {
            const int32_t at = b * params.mask_batch_stride + r * params.mask_row_stride;
            if (power.is_high()) {
                shares(params.columns, input, flags + at, power, output);
            } else {
                powers::shares(params.columns, 1, input, flags + at, power, output);
            }
            input += params.columns;
            output += params.columns;
        }
    }
}

}  // namespace mcu::kernels
