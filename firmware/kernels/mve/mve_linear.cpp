#include "mcu/kernels/mve_linear.h"

#include <arm_mve.h>

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
    int32_t where_ties = params.ties ? -1 : 0;
    __asm__("" : "+r"(where_ties));
    const int32x4_t ties = vdupq_n_s32(where_ties);
    const int32x4_t low = vdupq_n_s32(params.low);
    const int32x4_t high = vdupq_n_s32(params.high);
    for (int32_t row = 0; row < params.rows; ++row) {
        const int8_t* w = weights;
        const int32_t* b = bias;
        for (int32_t left = params.outputs; left > 0; left -= 4) {
            int32x4_t v = vqrdmulhq_n_s32(vaddq_s32(sums_of(input, inputs, w), vldrwq_s32(b)), multiplier);
            v = vaddq_s32(v, vandq_s32(vshrq_n_s32(v, 31), ties));
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
    int32_t where_ties = params.ties ? -1 : 0;  // hidden as above
    __asm__("" : "+r"(where_ties));
    const int32x4_t ties = vdupq_n_s32(where_ties);
    const int32x4_t low = vdupq_n_s32(params.low);
    const int32x4_t high = vdupq_n_s32(params.high);
    for (int32_t left = params.outputs; left > 0; left -= 4) {
        const int32x4_t sums = vaddq_s32(sums_of(input, inputs, weights), vldrwq_s32(scales));
        int32x4_t v = vqrdmulhq_s32(sums, vldrwq_s32(scales + 4));
        v = vaddq_s32(v, vandq_s32(vshrq_n_s32(v, 31), ties));
        v = vqshlq_s32(vaddq_s32(v, vldrwq_s32(scales + 8)), vldrwq_s32(scales + 12));
        v = vminq_s32(vmaxq_s32(vshrq_n_s32(v, 24), low), high);
        vstrbq_p_s32(output, v, vctp32q(static_cast<uint32_t>(left)));
        output += 4;
        scales += 16;
    }
}

// Kernels of eight outputs at once. Whole functions of assembly, for the reason that tile_cores.h gives.
//
//   r1 input  r3 weights  r5 addend  r7 output  r9 tiles after this one, and bit 31 set where ties show
//   r11 shift q5 the multiplier in each lane
//   [sp]      rows left, where the row's input starts, inputs, shift, weights, r9 of a row's first tile
#define MVE_ROWS(row)                                                        \
    __asm__ volatile(                                                        \
        "push {r4-r11, lr}\n vpush {d8-d15}\n mov r7, r3\n mov r8, r2\n"     \
        "ldm r0, {r0, r2, r4, r5, r6, r9}\n vdup.32 q5, r4\n"                \
        "5: mov r3, r8\n push {r0, r1, r2, r6, r8, r9}\n" row                \
        "pop {r0, r1, r2, r6, r8, r9}\n add r1, r2\n subs r0, #1\n bne 5b\n" \
        "vpop {d8-d15}\n pop {r4-r11, pc}\n")
// Eight sums start as the biases.
#define MVE_BIASES "ldm r3!, {r0, r2, r4, r6, r8, r10, r12, lr}\n"
#define MVE_PRODUCT(sum, x) "vldrw.u32 q7, [r3], #16\n vmladava.s8 " #sum ", " #x ", q7\n"
#define MVE_PRODUCTS(x) \
    MVE_PRODUCT(r0, x)  \
    MVE_PRODUCT(r2, x)  \
    MVE_PRODUCT(r4, x)  \
    MVE_PRODUCT(r6, x) MVE_PRODUCT(r8, x) MVE_PRODUCT(r10, x) MVE_PRODUCT(r12, x) MVE_PRODUCT(lr, x)
#define MVE_VECTOR(at) "vldrb.u8 q6, [r1" at "\n" MVE_PRODUCTS(q6)
// The sums rescaled and stored, then the next tile from label 1 on. A negative flag
// tells that ties show: half away from zero is then 1 less for negative sums.
#define MVE_EACH(rescale) rescale(q6) rescale(q7)
#define MVE_PLAIN(q) "vqrdmlash.s32 " #q ", q5, r5\n vqshl.s32 " #q ", r11\n"
#define MVE_TIES(q)                                                                \
    "vpte.s32 lt, " #q ", zr\n vqrdmlasht.s32 " #q ", q5, r0\n vqrdmlashe.s32 " #q \
    ", q5, r5\n vqshl.s32 " #q ", r11\n"
#define MVE_STORE "vsri.32 q7, q6, #8\n vshr.u32 q7, q7, #16\n vstrh.32 q7, [r7], #8\n subs r9, #1\n"
#define MVE_FINISH                                                                                     \
    "vmov d12, r0, r2\n vmov d13, r4, r6\n vmov d14, r8, r10\n vmov d15, r12, lr\n bmi 2f\n" MVE_EACH( \
        MVE_PLAIN) MVE_STORE                                                                           \
        "bpl 1b\n b 3f\n"                                                                              \
        "2: sub r0, r5, #1\n" MVE_EACH(MVE_TIES) MVE_STORE "bmi 1b\n 3:\n"

// The first five of the input's vectors stay in registers.
[[gnu::naked]] void mve_linear_tiles_128_s8(const MveLinearTilesParams&, const int8_t*, const int8_t*,
                                            int8_t*) {
    MVE_ROWS(
        "mov r11, r6\n vldrb.u8 q0, [r1]\n vldrb.u8 q1, [r1, #16]\n vldrb.u8 q2, [r1, #32]\n"
        "vldrb.u8 q3, [r1, #48]\n vldrb.u8 q4, [r1, #64]\n cmp r9, #0\n"
        "1:\n" MVE_BIASES MVE_PRODUCTS(q0) MVE_PRODUCTS(q1) MVE_PRODUCTS(q2) MVE_PRODUCTS(q3) MVE_PRODUCTS(q4)
            MVE_VECTOR(", #80]") MVE_VECTOR(", #96]") MVE_VECTOR(", #112]") MVE_FINISH);
}

// Eight vectors at a time, then one, of which the last is predicated. r11 counts inputs.
[[gnu::naked]] void mve_linear_tiles_s8(const MveLinearTilesParams&, const int8_t*, const int8_t*, int8_t*) {
#define MVE_NEXT MVE_VECTOR("], #16")
    MVE_ROWS("1:\n" MVE_BIASES "ldrd r1, r11, [sp, #4]\n subs r11, #128\n blo 7f\n"
             "6:\n" MVE_NEXT MVE_NEXT MVE_NEXT MVE_NEXT MVE_NEXT MVE_NEXT MVE_NEXT MVE_NEXT
             "subs r11, #128\n bhs 6b\n"
             "7: adds r11, #128\n beq 9f\n"
             "8: vctp.8 r11\n vpst\n vldrbt.u8 q6, [r1], #16\n" MVE_PRODUCTS(q6) "subs r11, #16\n bhi 8b\n"
             "9: ldr r11, [sp, #12]\n cmp r9, #0\n" MVE_FINISH);
#undef MVE_NEXT
}

}  // namespace mcu::kernels
