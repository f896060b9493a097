// Tiles of three pixels by four output channels, for mve_conv2d.cpp.
//
// A tile's sums are made in two halves of three pixels by two channels: 6 accumulators, and 5 loads for 6
// multiply-accumulates of 16 products each. The sums are assembly because the compilers spill: for 64
// products a half of 44 vector instructions became 95 from intrinsics with clang 19, 140 with gcc 12.

#pragma once

#include <arm_mve.h>

#include <cstdint>

#include "mcu/kernels/mve_conv2d.h"

#define MCU_INLINE inline __attribute__((always_inline))

namespace mcu::kernels::mve {

constexpr int32_t kPixels = 3;

// Sums of three pixels; lane i is channel i of four.
struct Sums {
    int32x4_t pixel[kPixels];
};

// Loads of a vector of each of two channels' weights.
#define MVE_WEIGHTS "vldrw.u32 q3, [%[w]], #16\n vldrw.u32 q4, [%[w]], #16\n"
// Products of three pixels and both channels: the sums, or (with "a") added to them.
#define MVE_PRODUCTS(a, x, y, z)                                     \
    "vmladav" a ".s8 %[a0], " #x ", q3\n vmladav" a ".s8 %[b0], " #x \
    ", q4\n"                                                         \
    "vmladav" a ".s8 %[a1], " #y ", q3\n vmladav" a ".s8 %[b1], " #y \
    ", q4\n"                                                         \
    "vmladav" a ".s8 %[a2], " #z ", q3\n vmladav" a ".s8 %[b2], " #z ", q4\n"
#define MVE_ZERO \
    "mov %[a0], #0\n mov %[b0], #0\n mov %[a1], #0\n mov %[b1], #0\n mov %[a2], #0\n mov %[b2], #0\n"
// The half's sums into the lower or the upper lanes.
#define MVE_LANES(half)                                                                    \
    "vmov %" #half "[p0], %[a0], %[b0]\n vmov %" #half "[p1], %[a1], %[b1]\n vmov %" #half \
    "[p2], %[a2], %[b2]\n"
#define MVE_SUMS                                                                                          \
    [a0] "=&Te"(a0), [a1] "=&Te"(a1), [a2] "=&Te"(a2), [b0] "=&Te"(b0), [b1] "=&Te"(b1), [b2] "=&Te"(b2), \
        [p0] "=&w"(sums.pixel[0]), [p1] "=&w"(sums.pixel[1]), [p2] "=&w"(sums.pixel[2]), [w] "+r"(weights)
#define MVE_CLOBBERS "q0", "q1", "q2", "q3", "q4", "memory"

// A run of `vectors` * 16 bytes of each of three pixels that are `pitch` bytes apart. 12 instructions for 96
// products.
MCU_INLINE Sums sums_of_long_run(const int8_t* in, int32_t vectors, int32_t pitch, const int8_t*& weights) {
    Sums sums;
    int32_t a0, a1, a2, b0, b1, b2;
    const int8_t* x0 = in;
    const int8_t* x1 = in + pitch;
    const int8_t* x2 = in + 2 * pitch;
#define MVE_LOOP                                                                                            \
    "dls lr, %[n]\n" MVE_ZERO                                                                               \
    "1: vldrw.u32 q0, [%[x0]], #16\n vldrw.u32 q1, [%[x1]], #16\n vldrw.u32 q2, [%[x2]], #16\n" MVE_WEIGHTS \
        MVE_PRODUCTS("a", q0, q1, q2) "le lr, 1b\n"
#define MVE_BACK \
    "sub %[x0], %[x0], %[n], lsl #4\n sub %[x1], %[x1], %[n], lsl #4\n sub %[x2], %[x2], %[n], lsl #4\n"
    __asm__ volatile(MVE_LOOP MVE_LANES(e) MVE_BACK MVE_LOOP MVE_LANES(f)
                     : MVE_SUMS, [x0] "+r"(x0), [x1] "+r"(x1), [x2] "+r"(x2)
                     : [n] "r"(vectors)
                     : MVE_CLOBBERS, "lr");
#undef MVE_LOOP
#undef MVE_BACK
    return sums;
}

// Where the next four channels of three pixels are requantized from and stored to.
struct Epilogue {
    const int32_t* scales;
    int8_t* output[kPixels];
};

#define MVE_EACH(text) text(p0) text(p1) text(p2)
#define MVE_HIGH(p) "vadd.i32 %q[" #p "], %q[" #p "], q0\n vqrdmulh.s32 %q[" #p "], %q[" #p "], q1\n"
#define MVE_HALF_AWAY(p) "vshr.s32 q4, %q[" #p "], #31\n vadd.i32 %q[" #p "], %q[" #p "], q4\n"
#define MVE_LOW(p)                                                       \
    "vadd.i32 %q[" #p "], %q[" #p "], q2\n vqshl.s32 %q[" #p "], %q[" #p \
    "], q3\n"                                                            \
    "vshr.s32 %q[" #p "], %q[" #p "], #24\n"
#define MVE_REQUANTIZE(half_away) \
    __asm__ volatile("vldrw.u32 q0, [%[scales]], #16\n vldrw.u32 q1, [%[scales]], #16\n"               \
                     "vldrw.u32 q2, [%[scales]], #16\n vldrw.u32 q3, [%[scales]], #16\n"               \
                     MVE_EACH(MVE_HIGH) half_away MVE_EACH(MVE_LOW) "vstrb.32 %q[p0], [%[o0]], #4\n"        \
                     "vstrb.32 %q[p1], [%[o1]], #4\n vstrb.32 %q[p2], [%[o2]], #4\n"                   \
                     : [p0] "+w"(sums.pixel[0]), [p1] "+w"(sums.pixel[1]), [p2] "+w"(sums.pixel[2]),   \
                       [scales] "+r"(at.scales), [o0] "+l"(at.output[0]), [o1] "+l"(at.output[1]),     \
                       [o2] "+l"(at.output[2])                                                         \
                     :                                                                                 \
                     : MVE_CLOBBERS)

// What `apply_epilogue` does where channels are left over, or clamped.
[[gnu::noinline]] inline void epilogue_part(const MveConvEpilogue& epilogue, const Sums& sums,
                                            int32_t channels, const Epilogue& at) {
    const int32x4_t bias = vldrwq_s32(at.scales);
    const int32x4_t multiplier = vldrwq_s32(at.scales + 4);
    const int32x4_t addend = vldrwq_s32(at.scales + 8);
    const int32x4_t shift = vldrwq_s32(at.scales + 12);
    const mve_pred16_t left = vctp32q(static_cast<uint32_t>(channels));
    const int32x4_t sign = vdupq_n_s32(epilogue.half_away ? -1 : 0);
    for (int p = 0; p < kPixels; ++p) {
        int32x4_t v = vqrdmulhq_s32(vaddq_s32(sums.pixel[p], bias), multiplier);
        v = vaddq_s32(v, vandq_s32(vshrq_n_s32(v, 31), sign));
        v = vshrq_n_s32(vqshlq_s32(vaddq_s32(v, addend), shift), 24);
        v = vminq_s32(vmaxq_s32(v, vdupq_n_s32(epilogue.low)), vdupq_n_s32(epilogue.high));
        vstrbq_p_s32(at.output[p], v, left);
    }
}

// Requantizes four channels' sums of three pixels and stores them; `channels` are left. Assembly, as the
// sums: from intrinsics clang 19 takes 34 instructions where these are 22.
MCU_INLINE void apply_epilogue(const MveConvEpilogue& epilogue, Sums sums, int32_t channels, Epilogue& at) {
    if (epilogue.plain) {
        MVE_REQUANTIZE("");
        return;
    }
    if (epilogue.whole) {
        MVE_REQUANTIZE(MVE_EACH(MVE_HALF_AWAY));
        return;
    }
    const Sums part = sums;
    const Epilogue here = at;
    epilogue_part(epilogue, part, channels, here);
    for (int p = 0; p < kPixels; ++p) {
        at.output[p] += 4;
    }
    at.scales += 16;
}

// Three pixels that start `pitch` bytes apart.
MCU_INLINE Epilogue epilogue_at(const int32_t* scales, int8_t* output, int32_t pitch) {
    return {scales, {output, output + pitch, output + 2 * pitch}};
}

// All channels of three pixels: sums_of(weights) moves on through the weights.
template <typename SumsOf>
MCU_INLINE void tile(const MveConvEpilogue& params, const int8_t* weights, Epilogue at,
                     const SumsOf& sums_of) {
    const MveConvEpilogue epilogue = params;
    for (int32_t channels = epilogue.channels; channels > 0; channels -= 4) {
        apply_epilogue(epilogue, sums_of(weights), channels, at);
    }
}

}  // namespace mcu::kernels::mve
