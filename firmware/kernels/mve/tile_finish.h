// What cores do with the sums of four pixels by four channels: rescale and store them. Assembly, because a
// core has no register left to keep what a compiler's function may change.
//
//   q4 to q7  sums of the four pixels; lane i is channel i
//   r5 scales  r7 output of the first pixel, both moved on  r1 r3 r9 r11 kept  lr where to go back to
//   [sp]      input, and MveTile from `finish` on
//
// Instructions for 16 outputs: 38 where there are no ties and no clamps.

#pragma once

#include "mcu/kernels/mve_conv_tiles.h"

namespace mcu::kernels::mve {

// Additions and shifts stand between multiplications and loads: a Cortex-M55 does two of a kind in turn, but
// two of different kinds at once.
#define MVE_HIGH                                                                    \
    "vldrw.u32 q0, [r5], #16\n ldrd r0, r2, [sp, #12]\n vadd.i32 q4, q4, q0\n"      \
    "vldrw.u32 q1, [r5], #16\n vadd.i32 q5, q5, q0\n vqrdmulh.s32 q4, q4, q1\n"     \
    "vadd.i32 q6, q6, q0\n vqrdmulh.s32 q5, q5, q1\n vadd.i32 q7, q7, q0\n"         \
    "vqrdmulh.s32 q6, q6, q1\n vldrw.u32 q2, [r5], #16\n vqrdmulh.s32 q7, q7, q1\n" \
    "vldrw.u32 q3, [r5], #16\n ldr r4, [sp, #20]\n add r0, r7\n add r2, r7\n add r4, r7\n"
// Where the zero point is below the low clamp, ties do not show.
#define MVE_TIES                                                                                 \
    "vshr.s32 q0, q4, #31\n vshr.s32 q1, q5, #31\n vadd.i32 q4, q4, q0\n vshr.s32 q0, q6, #31\n" \
    "vadd.i32 q5, q5, q1\n vshr.s32 q1, q7, #31\n vadd.i32 q6, q6, q0\n vadd.i32 q7, q7, q1\n"
#define MVE_LOW                                                                                  \
    "vadd.i32 q4, q4, q2\n vadd.i32 q5, q5, q2\n vqshl.s32 q4, q4, q3\n vadd.i32 q6, q6, q2\n"   \
    "vqshl.s32 q5, q5, q3\n vadd.i32 q7, q7, q2\n vshr.s32 q4, q4, #24\n vqshl.s32 q6, q6, q3\n" \
    "vshr.s32 q5, q5, #24\n vqshl.s32 q7, q7, q3\n vshr.s32 q6, q6, #24\n"
// A pixel that is not there lies where the first one does, which is stored last.
#define MVE_STORE                                                                        \
    "vshr.s32 q7, q7, #24\n vstrb.32 q6, [r2]\n vstrb.32 q7, [r4]\n vstrb.32 q5, [r0]\n" \
    "vstrb.32 q4, [r7], #4\n bx lr\n"

[[gnu::naked, gnu::noinline]] inline void finish_plain() {
    __asm__ volatile(MVE_HIGH MVE_LOW MVE_STORE);
}
[[gnu::naked, gnu::noinline]] inline void finish_ties() {
    __asm__ volatile(MVE_HIGH MVE_TIES MVE_LOW MVE_STORE);
}
[[gnu::naked, gnu::noinline]] inline void finish_any() {
    __asm__ volatile(MVE_HIGH MVE_TIES MVE_LOW
                     "ldrd r6, r8, [sp, #24]\n ldr r10, [sp, #32]\n vdup.32 q0, r8\n vdup.32 q1, r10\n"
                     "vshr.s32 q7, q7, #24\n vctp.32 r6\n subs r6, #4\n str r6, [sp, #24]\n"
                     "vmax.s32 q4, q4, q0\n vmax.s32 q5, q5, q0\n vmax.s32 q6, q6, q0\n vmax.s32 q7, q7, q0\n"
                     "vmin.s32 q4, q4, q1\n vmin.s32 q5, q5, q1\n vmin.s32 q6, q6, q1\n vmin.s32 q7, q7, q1\n"
                     "vpstttt\n vstrbt.32 q7, [r4]\n vstrbt.32 q6, [r2]\n vstrbt.32 q5, [r0]\n"
                     "vstrbt.32 q4, [r7], #4\n bx lr\n");
}
#undef MVE_HIGH
#undef MVE_TIES
#undef MVE_LOW
#undef MVE_STORE

inline MveTile tile_of(const MveTileStage& stage, const int8_t* weights, const int32_t* scales) {
    MveTile tile = {};
    tile.weights = weights;
    tile.scales = scales;
    tile.finish = stage.plain ? finish_plain : stage.whole ? finish_ties : finish_any;
    tile.end = scales + (stage.channels + 3) / 4 * 16;
    tile.channels = stage.channels;
    tile.low = stage.low;
    tile.high = stage.high;
    return tile;
}

}  // namespace mcu::kernels::mve
