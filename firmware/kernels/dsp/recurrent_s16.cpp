#include "mcu/kernels/recurrent_s16.h"

#include "../reference/recurrent_loop.h"

namespace mcu::kernels {
namespace {

// SXTB16 widens weights 0 and 2, and 1 and 3 of a word: values are paired alike.
#define DSP_ROW(load, sum)                                                                      \
    load "sxtb16 %[t], %[l]\nsxtb16 %[l], %[l], ror #8\nsmlad %[" #sum "], %[e], %[t], %[" #sum \
         "]\n"                                                                                  \
         "smlad %[" #sum "], %[h], %[l], %[" #sum "]\n"

// Four products of each of four rows in 26 instructions with the loop: clang 19 makes 48 of intrinsics.
struct Dsp {
    using Value = int16_t;
    using Weight = int8_t;
    static constexpr bool kByVectors = false;

    static recurrent::FourSums four_sums(const int16_t* values, int32_t count, const int8_t*& weights,
                                         int32_t rows) {
        if (rows < 4) {
            return recurrent::four_rows<recurrent::Dots>(values, count, weights, rows);
        }
        int32_t a = 0, b = 0, c = 0, d = 0, l, h, e, t;
        const int32_t third = 3 * count;
        const int8_t* w = weights;
        const int16_t* const end = values + (count & ~3);
        while (values != end) {
            __asm__(
                "ldr %[l], [%[x]], #4\nldr %[h], [%[x]], #4\npkhbt %[e], %[l], %[h], lsl #16\n"
                "pkhtb %[h], %[h], %[l], asr #16\n"  //
                DSP_ROW("ldr %[l], [%[w], %[n]]\n", b) DSP_ROW("ldr %[l], [%[w], %[n], lsl #1]\n", c)
                    DSP_ROW("ldr %[l], [%[w], %[third]]\n", d) DSP_ROW("ldr %[l], [%[w]], #4\n", a)
                : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [x] "+r"(values), [w] "+r"(w),
                  [l] "=&r"(l), [h] "=&r"(h), [e] "=&r"(e), [t] "=&r"(t)
                : [n] "r"(count), [third] "r"(third)
                : "memory");
        }
        for (int32_t left = count & 3; left > 0; --left, ++values, ++w) {
            a += *values * w[0];
            b += *values * w[count];
            c += *values * w[2 * count];
            d += *values * w[third];
        }
        weights += 4 * count;
        return {{a, b, c, d}};
    }
};

}  // namespace

MCU_RECURRENT(MCU_RECURRENT_S16, Dsp)

}  // namespace mcu::kernels
