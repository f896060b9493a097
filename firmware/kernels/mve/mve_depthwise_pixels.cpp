#include "mcu/kernels/mve_depthwise_pixels.h"

#include <arm_mve.h>

#define MCU_INLINE inline __attribute__((always_inline))

namespace mcu::kernels {
namespace {

constexpr int32_t kBlock = 16;  // channels

struct Ends {
    int32x4_t half_away;
    int8x16_t low;
    int8x16_t high;
};

// Of even channels every second one, the others, and the same of odd channels.
struct Sums {
    int32x4_t a, b, c, d;
};

// Adds the products of so many pairs of taps. In assembly, as compilers spill vectors here.
MCU_INLINE void add_pairs(Sums& sums, const int8_t* input, const int32_t* offsets, const int8_t* weights,
                          int32_t pairs, int32_t left) {
    int32_t first, second;
    __asm__ volatile(
        "vctp.8 %[left]\n dls lr, %[pairs]\n"
        "1: ldrd %[first], %[second], [%[offsets]], #8\n"
        "add %[first], %[input]\n add %[second], %[input]\n"
        "vpst\n vldrbt.u8 q4, [%[first]]\n vldrb.u8 q5, [%[weights]], #16\n"
        "vmullb.s8 q6, q4, q5\n vmullt.s8 q7, q4, q5\n"
        "vpst\n vldrbt.u8 q4, [%[second]]\n vldrb.u8 q5, [%[weights]]\n"
        "vmullb.s8 q5, q4, q5\n vadd.i16 q6, q6, q5\n vldrb.u8 q5, [%[weights]], #16\n"
        "vmullt.s8 q5, q4, q5\n vadd.i16 q7, q7, q5\n"
        "vmovlb.s16 q5, q6\n vadd.i32 %q[a], %q[a], q5\n vmovlt.s16 q6, q6\n vadd.i32 %q[b], %q[b], q6\n"
        "vmovlb.s16 q5, q7\n vadd.i32 %q[c], %q[c], q5\n vmovlt.s16 q7, q7\n vadd.i32 %q[d], %q[d], q7\n"
        "le lr, 1b\n"
        : [a] "+w"(sums.a), [b] "+w"(sums.b), [c] "+w"(sums.c), [d] "+w"(sums.d), [first] "=&r"(first),
          [second] "=&r"(second), [offsets] "+r"(offsets), [weights] "+r"(weights)
        : [input] "r"(input), [pairs] "r"(pairs), [left] "r"(left)
        : "q4", "q5", "q6", "q7", "lr", "memory");
}

MCU_INLINE void add_one(Sums& sums, int8x16_t input, int8x16_t weights) {
    const int16x8_t even = vmullbq_int_s8(input, weights);
    const int16x8_t odd = vmulltq_int_s8(input, weights);
    sums.a = vaddq_s32(sums.a, vmovlbq_s16(even));
    sums.b = vaddq_s32(sums.b, vmovltq_s16(even));
    sums.c = vaddq_s32(sums.c, vmovlbq_s16(odd));
    sums.d = vaddq_s32(sums.d, vmovltq_s16(odd));
}

// As int8 in the high byte of each lane.
MCU_INLINE uint32x4_t requantized(int32x4_t sums, const int32_t* scales, int32x4_t half_away) {
    int32x4_t v = vqrdmulhq_s32(sums, vldrwq_s32(scales + 16));
    v = vaddq_s32(v, vandq_s32(vshrq_n_s32(v, 31), half_away));
    v = vqshlq_s32(vaddq_s32(v, vldrwq_s32(scales + 32)), vldrwq_s32(scales + 48));
    return vreinterpretq_u32_s32(v);
}

MCU_INLINE int8x16_t clamped(const Sums& sums, const int32_t* scales, const Ends& ends) {
    uint32x4_t all = requantized(sums.d, scales + 12, ends.half_away);
    all = vsriq_n_u32(all, requantized(sums.b, scales + 4, ends.half_away), 8);
    all = vsriq_n_u32(all, requantized(sums.c, scales + 8, ends.half_away), 16);
    all = vsriq_n_u32(all, requantized(sums.a, scales, ends.half_away), 24);
    return vminq_s8(vmaxq_s8(vreinterpretq_s8_u32(all), ends.low), ends.high);
}

}  // namespace

void mve_depthwise_pixels_s8(const MveDepthwisePixelsParams& params, const int8_t* input,
                             const int32_t* offsets, const int8_t* records, int8_t* output) {
    int32_t where_half_away = params.half_away ? -1 : 0;  // hidden as in mve_linear.cpp
    __asm__("" : "+r"(where_half_away));
    const Ends ends = {vdupq_n_s32(where_half_away), vdupq_n_s8(static_cast<int8_t>(params.low)),
                       vdupq_n_s8(static_cast<int8_t>(params.high))};
    const int32_t pairs = params.taps / 2;
    for (int32_t y = 0; y < params.rows; ++y) {
        for (int32_t x = 0; x < params.columns; ++x) {
            const int8_t* from = input + y * params.row_step + x * params.column_step;
            const int8_t* record = records;
            for (int32_t left = params.channels; left > 0; left -= kBlock) {
                const auto* scales = reinterpret_cast<const int32_t*>(record + kBlock * params.taps);
                Sums sums = {vldrwq_s32(scales), vldrwq_s32(scales + 4), vldrwq_s32(scales + 8),
                             vldrwq_s32(scales + 12)};
                if (pairs > 0) {
                    add_pairs(sums, from, offsets, record, pairs, left);
                }
                const mve_pred16_t some = vctp8q(static_cast<uint32_t>(left));
                if (params.taps % 2 != 0) {
                    add_one(sums, vldrbq_z_s8(from + offsets[2 * pairs], some),
                            vldrbq_s8(record + 2 * kBlock * pairs));
                }
                vstrbq_p_s8(output, clamped(sums, scales, ends), some);
                record = reinterpret_cast<const int8_t*>(scales + 4 * kBlock);
                from += kBlock;
                output += left < kBlock ? left : kBlock;
            }
        }
    }
}

}  // namespace mcu::kernels
