// All channels of four pixels, two channels at a time. Whole functions of assembly: eight sums take r0, r2,
// ... r14, so that no compiler has a register left, and lr is none for a loop.
//
//   r1 input  r3 weights  r5 scales  r7 output  r9 bytes from a row to the next  r11 rows left
//   q6, q7    where the four pixels of the first and of the second channel are stored, from r7 on
//   [sp]      Tile::finish and what follows it
//
// Instructions for two channels of four pixels: the sums', and 23 to rescale and store them where there are
// no ties and no clamps, of which 11 are Helium's.

#pragma once

#include <cstdint>

#include "mcu/kernels/mve_conv2d.h"

namespace mcu::kernels::mve {

constexpr int32_t kTilePixels = 4;

// Four pixels of one row. Cores load it by its order.
struct Tile {
    const int8_t* input;  // the first window's corner
    const int8_t* weights;
    const int32_t* scales;
    int8_t* output;
    int32_t row;         // bytes from a row of the window to the next
    void (*finish)();    // rescales and stores
    const int32_t* end;  // of the scales
    int32_t low;
    int32_t high;
    int32_t odd;       // channels: the last pair has one
    int32_t channels;  // of the output
};
using Core = void (*)(const Tile&);

// Two channels rescaled: the upper bytes of q0 and q1. lr is where to go back to.
#define MVE_RESCALE(ties)                                                                        \
    "ldm r5!, {r0, r2, r4, r6, r8, r10, r11, r12}\n vadd.i32 q0, q0, r0\n vadd.i32 q1, q1, r8\n" \
    "vqrdmulh.s32 q0, q0, r2\n vqrdmulh.s32 q1, q1, r10\n" ties                                  \
    "vadd.i32 q0, q0, r4\n vadd.i32 q1, q1, r11\n vqshl.s32 q0, r6\n vqshl.s32 q1, r12\n"
// Where the zero point is below the low clamp, ties do not show.
#define MVE_TIES "vshr.s32 q2, q0, #31\n vshr.s32 q3, q1, #31\n vadd.i32 q0, q0, q2\n vadd.i32 q1, q1, q3\n"
// A pixel's channels are neighbours.
#define MVE_PAIR "vsri.32 q1, q0, #8\n vshr.u32 q1, q1, #16\n vstrh.32 q1, [r7, q6]\n adds r7, #2\n bx lr\n"

[[gnu::naked, gnu::noinline]] inline void finish_plain() {
    __asm__ volatile(MVE_RESCALE("") MVE_PAIR);
}
[[gnu::naked, gnu::noinline]] inline void finish_ties() {
    __asm__ volatile(MVE_RESCALE(MVE_TIES) MVE_PAIR);
}
[[gnu::naked, gnu::noinline]] inline void finish_any() {
    __asm__ volatile(MVE_RESCALE(
        MVE_TIES) "vshr.s32 q0, q0, #24\n vshr.s32 q1, q1, #24\n"
                  "ldrd r0, r2, [sp, #8]\n vdup.32 q2, r0\n vdup.32 q3, r2\n vmax.s32 q0, q0, q2\n"
                  "vmax.s32 q1, q1, q2\n vmin.s32 q0, q0, q3\n vmin.s32 q1, q1, q3\n"
                  "ldr r0, [sp, #4]\n cmp r0, r5\n bne 1f\n ldr r0, [sp, #16]\n cbz r0, 1f\n"
                  "vstrb.32 q0, [r7, q6]\n bx lr\n"
                  "1: vstrb.32 q0, [r7, q6]\n vstrb.32 q1, [r7, q7]\n adds r7, #2\n bx lr\n");
}
#undef MVE_RESCALE
#undef MVE_TIES
#undef MVE_PAIR

inline Tile tile_of(const MveConvStage& stage, const int8_t* weights, const int32_t* scales) {
    Tile tile = {};
    tile.weights = weights;
    tile.scales = scales;
    tile.finish = stage.plain ? finish_plain : stage.whole ? finish_ties : finish_any;
    tile.end = scales + (stage.channels + 1) / 2 * 8;
    tile.low = stage.low;
    tile.high = stage.high;
    tile.odd = stage.channels & 1;
    tile.channels = stage.channels;
    return tile;
}

// A core: `first` is done once, `sums` for each pair of channels.
#define MVE_CORE(name, first, sums)                                                     \
    [[gnu::naked, gnu::noinline]] inline void name(const Tile&) {                       \
        __asm__ volatile(                                                               \
            "push {r4-r11, lr}\n vpush {d8-d15}\n ldm r0!, {r1, r3, r5, r7, r9}\n"      \
            "ldm r0, {r2, r4, r6, r8, r10, r12}\n push {r2, r4, r6, r8, r10}\n"         \
            "movs r0, #0\n movs r2, #1\n vidup.u32 q6, r0, #1\n vmul.i32 q6, q6, r12\n" \
            "vadd.i32 q7, q6, r2\n" first "1:\n" sums                                   \
            "vmov d0, r0, r2\n vmov d1, r4, r6\n vmov d2, r8, r10\n vmov d3, r12, lr\n" \
            "ldr r0, [sp]\n blx r0\n ldr r0, [sp, #4]\n cmp r5, r0\n bne 1b\n"          \
            "add sp, #20\n vpop {d8-d15}\n pop {r4-r11, pc}\n");                        \
    }
// A pixel's vector, whose pixels are `pitch` bytes apart; a product with a vector of a channel's weights: the
// sum, or (with "a") added to it.
#define MVE_PIXEL(q, pixel, pitch, at) "vldrw.u32 " #q ", [r1, #" #pixel "*" #pitch "+" #at "]\n"
#define MVE_PRODUCT(a, sum, x, w) "vmladav" a ".s8 " #sum ", " #x ", " #w "\n"
// Four pixels with both channels. A load stands between two products where one is left: a Cortex-M55 does
// both at once. The first pixel is loaded before; `second` to `fourth` load the others.
#define MVE_PRODUCTS(a, x, y, z, t, second, third, fourth)                                                   \
    "vldrw.u32 q4, [r3], #16\n" MVE_PRODUCT(a, r0, x, q4) "vldrw.u32 q5, [r3], #16\n" MVE_PRODUCT(a, r8, x,  \
                                                                                                  q5) second \
    MVE_PRODUCT(a, r2, y, q4)                                                                                \
    third MVE_PRODUCT(a, r10, y, q5)                                                                         \
    fourth MVE_PRODUCT(a, r4, z, q4) MVE_PRODUCT(a, r12, z, q5) MVE_PRODUCT(a, r6, t, q4)                    \
        MVE_PRODUCT(a, lr, t, q5)
#define MVE_RUN(a, pitch, at)                                                                 \
    MVE_PIXEL(q0, 0, pitch, at)                                                               \
    MVE_PRODUCTS(a, q0, q1, q2, q3, MVE_PIXEL(q1, 1, pitch, at), MVE_PIXEL(q2, 2, pitch, at), \
                 MVE_PIXEL(q3, 3, pitch, at))
// Four neighbours of stride 1 under three taps: six pixels are loaded once each.
#define MVE_SHARED(a, pitch, at)                                           \
    MVE_RUN(a, pitch, at)                                                  \
    MVE_PRODUCTS("a", q1, q2, q3, q0, MVE_PIXEL(q0, 4, pitch, at), "", "") \
    MVE_PRODUCTS("a", q2, q3, q0, q1, MVE_PIXEL(q1, 5, pitch, at), "", "")
// Nine bytes of a row of each pixel: predicated, so that nothing behind the image is read.
#define MVE_NINES(a, pitch)                                                                          \
    "vpstttt\n vldrbt.u8 q0, [r1]\n vldrbt.u8 q1, [r1, #" #pitch "]\n vldrbt.u8 q2, [r1, #2*" #pitch \
    "]\n vldrbt.u8 q3, [r1, #3*" #pitch "]\n" MVE_PRODUCTS(a, q0, q1, q2, q3, "", "", "")
// Four neighbours of 8 channels under three taps, two taps at a time: what is behind the sixth pixel is not
// read, and the second half of the third tap's weights is zero.
#define MVE_SHARED_8       \
    MVE_RUN("a", 8, 0)     \
    MVE_PIXEL(q0, 4, 8, 0) \
    "vpst\n vldrbt.u8 q1, [r1, #40]\n" MVE_PRODUCTS("a", q2, q3, q0, q1, "", "", "")
// Eight bytes of each of four pixels; the second half of the weights' vectors is zero.
#define MVE_EIGHTS                                                                                     \
    "vpstttt\n vldrbt.u8 q0, [r1]\n vldrbt.u8 q1, [r1, #8]\n vldrbt.u8 q2, [r1, #16]\n vldrbt.u8 q3, " \
    "[r1, #24]\n" MVE_PRODUCTS("", q0, q1, q2, q3, "", "", "")
// From a row of the window to the next, and from the third to the first.
#define MVE_DOWN "add r1, r1, r9\n"
#define MVE_UP "sub r1, r1, r9, lsl #1\n"
#define MVE_TIMES(count, text)                                                                         \
    "movs r0, #0\n movs r2, #0\n movs r4, #0\n movs r6, #0\n mov r8, #0\n mov r10, #0\n mov r12, #0\n" \
    "mov lr, #0\n mov r11, #" #count "\n 2:\n" text "subs r11, #1\n bne 2b\n"
#define MVE_ROWS(row) MVE_TIMES(3, row MVE_DOWN) MVE_UP "sub r1, r1, r9\n"

MVE_CORE(core_3x3_16, "",
         MVE_SHARED("", 16, 0) MVE_DOWN MVE_SHARED("a", 16, 0) MVE_DOWN MVE_SHARED("a", 16, 0) MVE_UP)
MVE_CORE(core_3x3_8, "movs r0, #8\n vctp.8 r0\n", MVE_ROWS(MVE_SHARED_8))
MVE_CORE(core_3x3_32, "", MVE_ROWS(MVE_SHARED("a", 32, 0) MVE_SHARED("a", 32, 16)))
MVE_CORE(core_3x3_64, "",
         MVE_ROWS(MVE_SHARED("a", 64, 0) MVE_SHARED("a", 64, 16) MVE_SHARED("a", 64, 32)
                      MVE_SHARED("a", 64, 48)))
MVE_CORE(core_3x3_stride_2_16, "", MVE_ROWS(MVE_RUN("a", 32, 0) MVE_RUN("a", 32, 16) MVE_RUN("a", 32, 32)))
MVE_CORE(core_3x3_stride_2_32, "",
         MVE_ROWS(MVE_RUN("a", 64, 0) MVE_RUN("a", 64, 16) MVE_RUN("a", 64, 32) MVE_RUN("a", 64, 48)
                      MVE_RUN("a", 64, 64) MVE_RUN("a", 64, 80)))
MVE_CORE(core_3x3_3, "movs r0, #9\n vctp.8 r0\n",
         MVE_NINES("", 3) MVE_DOWN MVE_NINES("a", 3) MVE_DOWN MVE_NINES("a", 3) MVE_UP)
MVE_CORE(core_3x3_stride_2_3, "movs r0, #9\n vctp.8 r0\n",
         MVE_NINES("", 6) MVE_DOWN MVE_NINES("a", 6) MVE_DOWN MVE_NINES("a", 6) MVE_UP)
MVE_CORE(core_1x1_stride_2_16, "", MVE_RUN("", 32, 0))
MVE_CORE(core_1x1_stride_2_32, "", MVE_RUN("", 64, 0) MVE_RUN("a", 64, 16))

MVE_CORE(core_1x1_8, "movs r0, #8\n vctp.8 r0\n", MVE_EIGHTS)
MVE_CORE(core_1x1_16, "", MVE_RUN("", 16, 0))
MVE_CORE(core_1x1_32, "", MVE_RUN("", 32, 0) MVE_RUN("a", 32, 16))
MVE_CORE(core_1x1_64, "", MVE_RUN("", 64, 0) MVE_RUN("a", 64, 16) MVE_RUN("a", 64, 32) MVE_RUN("a", 64, 48))
MVE_CORE(core_1x1_128, "",
         MVE_TIMES(4, MVE_RUN("a", 128, 0) MVE_RUN("a", 128, 16) "adds r1, #32\n") "subs r1, #128\n")
// Two pixels are as far as a load reaches: r9 is at the other two.
MVE_CORE(core_1x1_256, "add r9, r1, #512\n",
         MVE_TIMES(16, "vldrw.u32 q0, [r1], #16\n" MVE_PRODUCTS(
                           "a", q0, q1, q2, q3, "vldrw.u32 q1, [r1, #240]\n", "vldrw.u32 q2, [r9], #16\n",
                           "vldrw.u32 q3, [r9, #240]\n")) "sub r1, r1, #256\n sub r9, r9, #256\n")

}  // namespace mcu::kernels::mve
