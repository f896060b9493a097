// Sums of bytes 16 * a + b are 16 * A + B, those of bytes moved by four bits 16 * B: as many instructions as
// for weights of 8 bits but a shift for two loads. Assembly for the reason that conv_tile.h gives.
//
//   r1 input  r3 weights  r7 output  r11 inputs left  r0, r2, r4, r6 16 * A + B  r8, r10, r12, lr 16 * B
//   q0, q1 sums of even and odd outputs, sixteen times or by groups  q3, q4 the ends of a clamp  q6 input
//   [sp]   where the input starts, inputs, outputs left, zero point

#include "mcu/kernels/mve_linear_w4.h"

namespace mcu::kernels {
namespace {

#define MVE_PAIR(word, high, low)                                                                      \
    "vldrw.u32 q7, [r3], #16\n " word ".s8 " #high ", q6, q7\n vshl.i8 q5, q7, #4\n " word ".s8 " #low \
    ", q6, q5\n"
#define MVE_PAIRS(word) \
    MVE_PAIR(word, r0, r8) MVE_PAIR(word, r2, r10) MVE_PAIR(word, r4, r12) MVE_PAIR(word, r6, lr)
#define MVE_APART                                                                                   \
    "sub r0, r0, r8, asr #4\n sub r2, r2, r10, asr #4\n sub r4, r4, r12, asr #4\n sub r6, r6, lr, " \
    "asr #4\n"
#define MVE_GROUP(sums, a, b, c, d)                                                                      \
    "vmov d4, " #a ", " #b "\n vmov d5, " #c ", " #d                                                     \
    "\n vldrb.u32 q5, [r3], #4\n vshr.s32 q2, q2, #4\n vmul.i32 q2, q2, q5\n vadd.i32 " #sums ", " #sums \
    ", q2\n"
#define MVE_BOTH(word) \
    "vldrw.u32 q5, [r3], #16\n " word " q0, q0, q5\n vldrw.u32 q7, [r3], #16\n " word " q1, q1, q7\n"
#define MVE_ENTER                                                                                   \
    "push {r4-r11, lr}\n vpush {d8-d15}\n mov r7, r3\n mov r3, r2\n ldm r0, {r4, r5, r6, r8, r9}\n" \
    "vdup.16 q3, r8\n vdup.16 q4, r9\n push {r1, r4, r5, r6}\n"
#define MVE_LEAVE                                                                               \
    MVE_BOTH("vadd.i32")                                                                        \
    MVE_BOTH("vmulh.s32")                                                                       \
    MVE_BOTH("vrshl.s32")                                                                       \
    "ldrd r10, r11, [sp, #8]\n vadd.i32 q0, q0, r11\n vadd.i32 q1, q1, r11\n"                   \
    "vqmovnb.s32 q0, q0\n vqmovnt.s32 q0, q1\n vmax.s16 q0, q0, q3\n vmin.s16 q0, q0, q4\n"     \
    "vctp.16 r10\n vpst\n vstrbt.16 q0, [r7], #8\n subs r10, #8\n str r10, [sp, #8]\n bhi 1b\n" \
    "add sp, #16\n vpop {d8-d15}\n pop {r4-r11, pc}\n"

[[gnu::naked]] void grouped_row(const MveLinearW4Row&, const int8_t*, const int8_t*, int8_t*) {
    __asm__ volatile(MVE_ENTER
                     "1: ldrd r1, r11, [sp]\n vmov.i32 q0, #0\n vmov.i32 q1, #0\n"
                     "2: vldrb.u8 q6, [r1], #16\n" MVE_PAIRS("vmladav") "vldrb.u8 q6, [r1], #16\n" MVE_PAIRS(
                         "vmladava") MVE_APART MVE_GROUP(q0, r0, r2, r4, r6)
                         MVE_GROUP(q1, r8, r10, r12, lr) "subs r11, #32\n bne 2b\n" MVE_LEAVE);
}

[[gnu::naked]] void whole_row(const MveLinearW4Row&, const int8_t*, const int8_t*, int8_t*) {
    __asm__ volatile(MVE_ENTER
                     "1: ldrd r1, r11, [sp]\n mov r0, #0\n mov r2, #0\n mov r4, #0\n mov r6, #0\n"
                     "mov r8, #0\n mov r10, #0\n mov r12, #0\n mov lr, #0\n subs r11, #16\n blo 3f\n"
                     "2: vldrb.u8 q6, [r1], #16\n" MVE_PAIRS("vmladava") "subs r11, #16\n bhs 2b\n"
                     "3: adds r11, #16\n beq 4f\n vctp.8 r11\n vpst\n vldrbt.u8 q6, [r1]\n"
                     MVE_PAIRS("vmladava") "4:" MVE_APART
                     "vmov d0, r0, r2\n vmov d1, r4, r6\n vmov d2, r8, r10\n vmov d3, r12, lr\n" MVE_LEAVE);
}

}  // namespace

void mve_linear_w4(const MveLinearW4Params& params, const int8_t* input, const int8_t* weights,
                   int8_t* output) {
    // Compilers are not to conclude anything from a naked function's text.
    auto row = params.is_grouped ? grouped_row : whole_row;
    __asm__("" : "+r"(row));
    for (int32_t left = params.rows; left > 0; --left) {
        row(params.row, input, weights, output);
        input += params.row.inputs;
        output += params.row.outputs;
    }
}

}  // namespace mcu::kernels
