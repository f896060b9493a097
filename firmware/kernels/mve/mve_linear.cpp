#include "mcu/kernels/mve_linear.h"

#include <arm_mve.h>

#define MCU_INLINE inline __attribute__((always_inline))

namespace mcu::kernels {
namespace {

// The sums are assembly for the reason that conv_tile.h gives.
#define MVE_PRODUCT(add, sum, x) "vldrw.u32 q6, [%[w]], #16\n vmladav" add ".s8 %[" #sum "], " #x ", q6\n"
#define MVE_FIRST(x) MVE_PRODUCT("", a, x) MVE_PRODUCT("", b, x) MVE_PRODUCT("", c, x) MVE_PRODUCT("", d, x)
#define MVE_NEXT(x) \
    MVE_PRODUCT("a", a, x) MVE_PRODUCT("a", b, x) MVE_PRODUCT("a", c, x) MVE_PRODUCT("a", d, x)
#define MVE_VECTOR "vldrb.u8 q7, [%[in]], #16\n" MVE_NEXT(q7)
#define MVE_ZERO "mov %[a], #0\n mov %[b], #0\n mov %[c], #0\n mov %[d], #0\n"
#define MVE_SUMS [a] "=&Te"(a), [b] "=&Te"(b), [c] "=&Te"(c), [d] "=&Te"(d), [w] "+r"(weights)

// Sums of four outputs, over eight vectors of inputs at a time.
MCU_INLINE int32x4_t sums_of_eights(const int8_t* in, int32_t eights, const int8_t*& weights) {
    int32_t a, b, c, d;
    int32x4_t sums;
    __asm__ volatile(
        "dls lr, %[n]\n" MVE_ZERO
        "1:\n" MVE_VECTOR MVE_VECTOR MVE_VECTOR MVE_VECTOR MVE_VECTOR MVE_VECTOR MVE_VECTOR MVE_VECTOR
        "le lr, 1b\n"
        "vmov %q[sums][2], %q[sums][0], %[a], %[c]\n vmov %q[sums][3], %q[sums][1], %[b], %[d]\n"
        : MVE_SUMS, [in] "+r"(in), [sums] "=w"(sums)
        : [n] "r"(eights)
        : "q6", "q7", "lr", "memory");
    return sums;
}

// The same over `count` inputs, the last vector of them predicated.
MCU_INLINE int32x4_t sums_of_any(const int8_t* in, int32_t count, const int8_t*& weights) {
    int32_t a, b, c, d;
    int32x4_t sums;
    __asm__ volatile("dlstp.8 lr, %[n]\n" MVE_ZERO "1:\n" MVE_VECTOR
                     "letp lr, 1b\n"
                     "vmov %q[sums][2], %q[sums][0], %[a], %[c]\n vmov %q[sums][3], %q[sums][1], %[b], %[d]\n"
                     : MVE_SUMS, [in] "+r"(in), [sums] "=w"(sums)
                     : [n] "r"(count)
                     : "q6", "q7", "lr", "memory");
    return sums;
}

template <typename SumsOf>
MCU_INLINE void linear(const MveLinearParams& params, const int8_t* input, const int8_t* weights,
                       const int32_t* bias, int8_t* output, const SumsOf& sums_of) {
    const int32_t multiplier = params.multiplier;
    const int32_t addend = params.addend;
    const int32_t shift = params.shift;
    const bool ties = params.ties;
    const int32x4_t low = vdupq_n_s32(params.low);
    const int32x4_t high = vdupq_n_s32(params.high);
    for (int32_t row = 0; row < params.rows; ++row) {
        const int8_t* w = weights;
        const int32_t* b = bias;
        for (int32_t left = params.outputs; left > 0; left -= 4) {
            int32x4_t v = vqrdmulhq_n_s32(vaddq_s32(sums_of(input, w), vldrwq_s32(b)), multiplier);
            if (ties) {
                v = vaddq_s32(v, vshrq_n_s32(v, 31));
            }
            v = vshrq_n_s32(vqshlq_r_s32(vaddq_n_s32(v, addend), shift), 24);
            v = vminq_s32(vmaxq_s32(v, low), high);
            vstrbq_p_s32(output, v, vctp32q(static_cast<uint32_t>(left)));
            output += left < 4 ? left : 4;
            b += 4;
        }
        input += params.inputs;
    }
}

#define MVE_RESIDENT(ties) \
    __asm__ volatile(                                                                                      \
        "vldrb.u8 q0, [%[in]]\n vldrb.u8 q1, [%[in], #16]\n vldrb.u8 q2, [%[in], #32]\n"                   \
        "vldrb.u8 q3, [%[in], #48]\n vldrb.u8 q4, [%[in], #64]\n vldrb.u8 q5, [%[in], #80]\n"              \
        "dls lr, %[d]\n 1:\n" MVE_FIRST(q0) MVE_NEXT(q1) MVE_NEXT(q2) MVE_NEXT(q3) \
            MVE_NEXT(q4) MVE_NEXT(q5) "vldrb.u8 q7, [%[in], #96]\n" MVE_NEXT(q7)               \
        "vldrb.u8 q7, [%[in], #112]\n" MVE_NEXT(q7)                                                    \
        "vmov q6[2], q6[0], %[a], %[c]\n vmov q6[3], q6[1], %[b], %[d]\n vldrw.u32 q7, [%[bias]], #16\n"   \
        "vadd.i32 q6, q6, q7\n vqrdmulh.s32 q6, q6, %[multiplier]\n" ties                                  \
        "vadd.i32 q6, q6, %[addend]\n vqshl.s32 q6, %[shift]\n vshr.s32 q6, q6, #24\n"                     \
        "vstrb.32 q6, [%[output]], #4\n le lr, 1b\n"                                                       \
        : [a] "=&Te"(a), [b] "=&Te"(b), [c] "=&Te"(c), [d] "+Te"(d), [w] "+r"(weights), [bias] "+r"(bias), \
          [output] "+l"(output)                                                                            \
        : [in] "r"(input), [multiplier] "r"(multiplier), [addend] "r"(addend), [shift] "r"(shift)          \
        : "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "lr", "memory")

// One row of 128 inputs, without a clamp.
MCU_INLINE void resident(const MveLinearParams& params, const int8_t* input, const int8_t* weights,
                         const int32_t* bias, int8_t* output) {
    int32_t a, b, c;
    int32_t d = params.outputs / 4;  // the loop's count until it becomes a sum
    const int32_t multiplier = params.multiplier;
    const int32_t addend = params.addend;
    const int32_t shift = params.shift;
    if (params.ties) {
        MVE_RESIDENT("vshr.s32 q7, q6, #31\n vadd.i32 q6, q6, q7\n");
    } else {
        MVE_RESIDENT("");
    }
}

}  // namespace

void mve_linear_s8(const MveLinearParams& params, const int8_t* input, const int8_t* weights,
                   const int32_t* bias, int8_t* output) {
    const int32_t inputs = params.inputs;
    linear(params, input, weights, bias, output,
           [inputs](const int8_t* in, const int8_t*& w) { return sums_of_any(in, inputs, w); });
}

void mve_linear_128n_s8(const MveLinearParams& params, const int8_t* input, const int8_t* weights,
                        const int32_t* bias, int8_t* output) {
    const int32_t eights = params.inputs / 128;
    linear(params, input, weights, bias, output,
           [eights](const int8_t* in, const int8_t*& w) { return sums_of_eights(in, eights, w); });
}

void mve_linear_128_s8(const MveLinearParams& params, const int8_t* input, const int8_t* weights,
                       const int32_t* bias, int8_t* output) {
    for (int32_t row = 0; row < params.rows; ++row) {
        resident(params, input, weights, bias, output);
        input += 128;
        output += params.outputs;
    }
}

}  // namespace mcu::kernels
