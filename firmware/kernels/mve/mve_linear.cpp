#include "mcu/kernels/mve_linear.h"

#include <arm_mve.h>

#include "eight_sums.h"

#define MCU_INLINE inline __attribute__((always_inline))

namespace mcu::kernels {
namespace {

// The sums are assembly for the reason that conv_tile.h gives.
#define MVE_PRODUCT(sum) "vldrw.u32 q6, [%[w]], #16\n vmladava.s8 %[" #sum "], q7, q6\n"

// Sums of four outputs over `count` inputs, the last vector of them predicated.
MCU_INLINE int32x4_t sums_of(const int8_t* in, int32_t count, const int8_t*& weights) {
    int32_t a, b, c, d;
    int32x4_t sums;
    __asm__ volatile(
        "dlstp.8 lr, %[n]\n mov %[a], #0\n mov %[b], #0\n mov %[c], #0\n mov %[d], #0\n"
        "1: vldrb.u8 q7, [%[in]], #16\n" MVE_PRODUCT(a) MVE_PRODUCT(b) MVE_PRODUCT(c)
            MVE_PRODUCT(d) "letp lr, 1b\n vmov %e[sums], %[a], %[b]\n vmov %f[sums], %[c], %[d]\n"
        : [a] "=&Te"(a), [b] "=&Te"(b), [c] "=&Te"(c), [d] "=&Te"(d), [w] "+r"(weights), [in] "+r"(in),
          [sums] "=w"(sums)
        : [n] "r"(count)
        : "q6", "q7", "lr", "memory");
    return sums;
}
#undef MVE_PRODUCT

}  // namespace

void mve_linear_s8(const MveLinearParams& params, const int8_t* input, const int8_t* weights,
                   const int32_t* bias, int8_t* output) {
    const int32_t inputs = params.inputs;
    const int32_t multiplier = params.multiplier;
    const int32_t addend = params.addend;
    const int32_t shift = params.shift;
    // Hidden, as clang 19 for size makes an undefined instruction of a vector that a flag selects.
    int32_t where_half_away = params.half_away ? -1 : 0;
    __asm__("" : "+r"(where_half_away));
    const int32x4_t half_away = vdupq_n_s32(where_half_away);
    const int32x4_t low = vdupq_n_s32(params.low);
    const int32x4_t high = vdupq_n_s32(params.high);
    for (int32_t row = 0; row < params.rows; ++row) {
        const int8_t* w = weights;
        const int32_t* b = bias;
        for (int32_t left = params.outputs; left > 0; left -= 4) {
            int32x4_t v = vqrdmulhq_n_s32(vaddq_s32(sums_of(input, inputs, w), vldrwq_s32(b)), multiplier);
            v = vaddq_s32(v, vandq_s32(vshrq_n_s32(v, 31), half_away));
            v = vshrq_n_s32(vqshlq_r_s32(vaddq_n_s32(v, addend), shift), 24);
            v = vminq_s32(vmaxq_s32(v, low), high);
            vstrbq_p_s32(output, v, vctp32q(static_cast<uint32_t>(left)));
            output += left < 4 ? left : 4;
            b += 4;
        }
        input += inputs;
    }
}

void mve_row_s8(const MveRowParams& params, const int8_t* input, const int8_t* weights, const int32_t* scales,
                int8_t* output) {
    const int32_t inputs = params.inputs;
    int32_t where_half_away = params.half_away ? -1 : 0;  // hidden as above
    __asm__("" : "+r"(where_half_away));
    const int32x4_t half_away = vdupq_n_s32(where_half_away);
    const int32x4_t low = vdupq_n_s32(params.low);
    const int32x4_t high = vdupq_n_s32(params.high);
    for (int32_t left = params.outputs; left > 0; left -= 4) {
        const int32x4_t sums = vaddq_s32(sums_of(input, inputs, weights), vldrwq_s32(scales));
        int32x4_t v = vqrdmulhq_s32(sums, vldrwq_s32(scales + 4));
        v = vaddq_s32(v, vandq_s32(vshrq_n_s32(v, 31), half_away));
        v = vqshlq_s32(vaddq_s32(v, vldrwq_s32(scales + 8)), vldrwq_s32(scales + 12));
        v = vminq_s32(vmaxq_s32(vshrq_n_s32(v, 24), low), high);
        vstrbq_p_s32(output, v, vctp32q(static_cast<uint32_t>(left)));
        output += 4;
        scales += 16;
    }
}

void mve_linear_tiles_s8(const MveLinearTilesParams& params, MveLinearCore core, const int8_t* input,
                         const int8_t* weights, int8_t* output) {
    // Compilers are not to conclude anything from a naked function's text.
    __asm__("" : "+r"(core));
    if (params.rows == 1) {
        return core(params.tile, input, weights, output);
    }
    for (int32_t row = 0; row < params.rows; ++row) {
        core(params.tile, input, weights, output);
        input += params.inputs;
        output += params.tile.outputs;
    }
}

// One row, requantized by each output's own numbers, which follow the weights of its tile.
//
//   r1 input  r3 weights  r7 output  r9 tiles left  r11 inputs left  q0, q1 the ends of a clamp
//   [sp]      where the input starts, inputs, what is added to negative sums
#define MVE_OWN(q)                                                                                    \
    "vldrw.u32 q5, [r3], #16\n vqrdmulh.s32 " #q ", " #q                                              \
    ", q5\n"                                                                                          \
    "vpt.s32 lt, " #q ", zr\n vaddt.i32 " #q ", " #q ", r11\n vldrw.u32 q5, [r3], #16\n vadd.i32 " #q \
    ", " #q ", q5\n vldrw.u32 q5, [r3], #16\n vqshl.s32 " #q ", " #q ", q5\n"
[[gnu::naked]] void mve_row_tiles_s8(const MveRowTilesParams&, const int8_t*, const int8_t*, int8_t*) {
    __asm__ volatile(
        "push {r4-r11, lr}\n vpush {d10-d15}\n mov r7, r3\n mov r3, r2\n"
        "ldm r0, {r8, r9, r10, r11, r12}\n vdup.8 q0, r11\n vdup.8 q1, r12\n push {r1, r8, r10, r11}\n"
        "1: ldm r3!, " MVE_SUMS "\n ldrd r1, r11, [sp]\n" MVE_EIGHT_SUMS_S8 MVE_SUMS_AS_VECTORS
        "ldr r11, [sp, #8]\n" MVE_OWN(q6) MVE_OWN(q7)
        "vsri.32 q7, q6, #8\n vshr.u32 q7, q7, #16\n vmax.s8 q7, q7, q0\n vmin.s8 q7, q7, q1\n"
        "vstrh.32 q7, [r7], #8\n subs r9, #1\n bne 1b\n"
        "add sp, #16\n vpop {d10-d15}\n pop {r4-r11, pc}\n");
}
#undef MVE_OWN

void mve_rows_tiles_s8(const MveRowsTilesParams& params, const int8_t* input, const int8_t* weights,
                       int8_t* output) {
    for (int32_t row = 0; row < params.rows; ++row) {
        mve_row_tiles_s8(params.row, input, weights, output);
        input += params.row.inputs;
        output += 8 * params.row.tiles;
    }
}

}  // namespace mcu::kernels
