// Sums of four outputs over one row of int8, from the packed weights of mcu/kernels/dsp_linear.h.

#pragma once

#include <cstdint>

#include "requantize.h"

namespace mcu::kernels::dsp {

// Sums of outputs b and d; 256 * a + b and 256 * c + d in place of a and c.
struct Sums {
    int32_t b;
    int32_t a;
    int32_t d;
    int32_t c;
};

// One group onto the sums of four outputs: 16 instructions for 16 products with the load of the input's word
// in
// %[x], 19 where loads are in runs, and 0.75 for the loop. From intrinsics clang 19 makes 19, gcc 12 24.
#define DSP_WIDEN "sxtb16 %[e], %[x]\nsxtb16 %[x], %[x], ror #8\n"
#define DSP_WEIGHTS "ldm %[w]!, {r0, r1, r2, r3}\n"
#define DSP_PAIR(even, odd, low, both)                                                                 \
    "sxtb16 %[t], " even "\nsmlad " both ", %[e], " even ", " both "\nsmlad " low ", %[e], %[t], " low \
    "\nsxtb16 %[t], " odd "\nsmlad " both ", %[x], " odd ", " both "\nsmlad " low ", %[x], %[t], " low "\n"
#define DSP_GROUP DSP_WIDEN DSP_PAIR("r0", "r1", "%[b]", "%[a]") DSP_PAIR("r2", "r3", "%[d]", "%[c]")
// On a Cortex-M4 five loads in a row take 6 cycles, one and one of four registers 7.
#if defined(__ARM_ARCH_8M_MAIN__)
#define DSP_NEXT "ldr %[x], [%[in]], #4\n" DSP_WEIGHTS DSP_GROUP
#else
#define DSP_NEXT                                                                           \
    "ldr %[x], [%[in]], #4\nldr r1, [%[w], #4]\nldr r2, [%[w], #8]\nldr r3, [%[w], #12]\n" \
    "ldr r0, [%[w]], #16\n" DSP_GROUP
#endif
#define DSP_OPERANDS                                                                               \
    [b] "+&r"(sums.b), [a] "+&r"(sums.a), [d] "+&r"(sums.d), [c] "+&r"(sums.c), [w] "+&r"(packed), \
        [e] "=&r"(e), [t] "=&r"(t)
#define DSP_CLOBBERS "r0", "r1", "r2", "r3", "memory"

inline __attribute__((always_inline)) Sums four_sums(const int8_t* in, int32_t inputs,
                                                     const int32_t*& packed) {
    Sums sums = {0, 0, 0, 0};
    int32_t e, t;
    if (inputs >= 16) {
        // Where the loop ends waits on the stack: it takes all thirteen registers that clang has to give.
        const int8_t* x = in + (inputs & ~15);
        __asm__ volatile("push {%[x]}\n1:\n" DSP_NEXT DSP_NEXT DSP_NEXT DSP_NEXT
                         "ldr %[t], [sp]\ncmp %[in], %[t]\nbne 1b\nadd sp, #4\n"
                         : DSP_OPERANDS, [in] "+&r"(in), [x] "+&r"(x)
                         :
                         : DSP_CLOBBERS, "cc");
    }
#pragma GCC unroll 1
    for (int32_t left = inputs & 15; left > 0; left -= 4, in += 4) {
        // Nothing behind the row is read.
        int32_t x = left >= 4 ? load_word(in) : load_bytes(in, left);
        __asm__ volatile(DSP_WEIGHTS DSP_GROUP : DSP_OPERANDS, [x] "+&r"(x) : : DSP_CLOBBERS);
    }
    return sums;
}

// Inputs of a part: their products make less than 2^23.
constexpr int32_t kPart = 496;

// The same, with a and c in place of the mixed sums.
inline Sums long_sums(const int8_t* in, int32_t inputs, const int32_t*& packed) {
    Sums sums = {0, 0, 0, 0};
    for (; inputs > 0; inputs -= kPart, in += kPart) {
        const Sums part = four_sums(in, inputs < kPart ? inputs : kPart, packed);
        sums = {sums.b + part.b, sums.a + high_sum(part.a, part.b), sums.d + part.d,
                sums.c + high_sum(part.c, part.d)};
    }
    return sums;
}

}  // namespace mcu::kernels::dsp
