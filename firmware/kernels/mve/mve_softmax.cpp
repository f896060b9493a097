#include "mcu/kernels/mve_softmax.h"

#include <arm_mve.h>

#include "mcu/kernels/softmax_share.h"

namespace mcu::kernels {
namespace {

constexpr int32_t kLanes = 4;
// The bits of 0.5f - 0x1p-10f.
constexpr int32_t kNearTie = 0x3EFF8000;

int32_t highest_of(const int8_t* input, int32_t count) {
    int8_t highest = -128;
    for (; count > 0; count -= 16, input += 16) {
        const mve_pred16_t some = vctp8q(static_cast<uint32_t>(count));
        highest = vmaxvq_p_s8(highest, vldrbq_z_s8(input, some), some);
    }
    return highest;
}

// Entries of the table for four elements, 0 where there are none.
inline uint32x4_t parts_of(const int8_t* input, int32x4_t highest, const uint32_t* table, mve_pred16_t some) {
    const int32x4_t differences = vsubq_s32(highest, vldrbq_z_s32(input, some));
    return vldrwq_gather_shifted_offset_z_u32(table, vreinterpretq_u32_s32(differences), some);
}

struct Rounded {
    int32x4_t away;  // distance to the nearest integer: a float that is not negative orders as its bits do
    int32x4_t nearest;
};

// parts * factor, rounded. Assembly because mve.fp is switched off: no other float is to be a vector's.
inline Rounded rounded(uint32x4_t parts, float factor) {
    Rounded found;
    __asm__(
        ".arch_extension mve.fp\n"
        "vcvt.f32.u32 %q[away], %q[parts]\n vmul.f32 %q[away], %q[away], %[factor]\n"
        "vrintn.f32 %q[nearest], %q[away]\n vsub.f32 %q[away], %q[away], %q[nearest]\n"
        "vabs.f32 %q[away], %q[away]\n vcvt.s32.f32 %q[nearest], %q[nearest]\n"
        : [away] "=&w"(found.away), [nearest] "=&w"(found.nearest)
        : [parts] "w"(parts), [factor] "r"(factor));
    return found;
}

void softmax_line(const SoftmaxParams& params, const int8_t* input, const uint32_t* table, int8_t* output) {
    const int32x4_t highest = vdupq_n_s32(highest_of(input, params.axis));
    uint64_t sum = 0;
    for (int32_t i = 0; i < params.axis; i += kLanes) {
        const mve_pred16_t some = vctp32q(static_cast<uint32_t>(params.axis - i));
        sum = vaddlvaq_u32(sum, parts_of(input + i, highest, table, some));
    }
    const int32_t excess = 64 - 24 - __builtin_clzll(sum);  // the highest's part alone has 32 bits
    const auto leading = static_cast<float>(static_cast<uint32_t>(sum >> excess));
    const float factor =
        static_cast<float>(256u << params.octaves) / (leading * static_cast<float>(1u << excess));
    for (int32_t i = 0; i < params.axis; i += kLanes) {
        const mve_pred16_t some = vctp32q(static_cast<uint32_t>(params.axis - i));
        const uint32x4_t parts = parts_of(input + i, highest, table, some);
        const auto [away, nearest] = rounded(parts, factor);
        int32x4_t shares = nearest;
        if (vcmpgtq_n_s32(away, kNearTie) != 0) {
            uint32_t part[kLanes];
            int32_t share[kLanes];
            vstrwq_u32(part, parts);
            for (int32_t lane = 0; lane < kLanes; ++lane) {
                share[lane] = softmax_share(uint64_t{part[lane]} << params.octaves, sum, excess);
            }
            shares = vldrwq_s32(share);
        }
        shares = vaddq_n_s32(shares, params.zero_point);
        shares = vmaxq_s32(vminq_s32(shares, vdupq_n_s32(127)), vdupq_n_s32(-128));
        vstrbq_p_s32(output + i, shares, some);
    }
}

}  // namespace

void mve_softmax_s8(const SoftmaxParams& params, const int8_t* input, const int32_t* table, int8_t* output) {
    const auto* parts = reinterpret_cast<const uint32_t*>(table);
    for (int32_t o = 0; o < params.outer; ++o) {
        softmax_line(params, input, parts, output);
        input += params.axis;
        output += params.axis;
    }
}

}  // namespace mcu::kernels
