// SMLALD adds two products to a sum of 64 bits. One row of two columns leaves registers for the loop: five
// instructions for four multiply-accumulates.

#include "mcu/kernels/matmul_s16.h"

#include <arm_acle.h>

#include "mcu/kernels/matmul_tiles_s16.h"
#include "words.h"

namespace mcu::kernels {
namespace {

struct Dots {
    template <int R, int C>
    static inline __attribute__((always_inline)) void dots(const int16_t* left, const int16_t* right,
                                                           int32_t inner, int64_t (&sums)[R][C]) {
        static_assert(R == 1);
        const int16_t* column[C];
#pragma GCC unroll 2
        for (int c = 0; c < C; ++c) {
            column[c] = right + c * inner;
        }
#pragma GCC unroll 2
        for (int32_t pairs = inner >> 1; pairs > 0; --pairs) {
            const int32_t row = dsp::load_word(left);
            left += 2;
            __asm__("" : "+r"(left));  // pointers of their own, which loads step: an index costs additions
#pragma GCC unroll 2
            for (int c = 0; c < C; ++c) {
                sums[0][c] = __smlald(row, dsp::load_word(column[c]), sums[0][c]);
                column[c] += 2;
                __asm__("" : "+r"(column[c]));
            }
        }
        if ((inner & 1) != 0) {
#pragma GCC unroll 2
            for (int c = 0; c < C; ++c) {
                sums[0][c] += *left * *column[c];
            }
        }
    }
};

}  // namespace

void matmul_s16(const MatmulS16Params& params, const int16_t* left, const int16_t* right, int16_t* output) {
    tiles::matmul<Dots, 1>(params, left, right, output);
}

}  // namespace mcu::kernels
