// Sums of products of int16 and int8 with SMLAD: 16 multiply-accumulates (two rows of two outputs) in 22
// instructions, or in 24 (one row of four outputs). SXTB16 widens weights 0 and 2, and 1 and 3, so
// activations are paired alike with PKHBT and PKHTB.

#pragma once

#include <arm_acle.h>

#include <cstdint>

#include "words.h"

namespace mcu::kernels::dsp {

struct DotsS16 {
    template <int R, int O>
    static inline __attribute__((always_inline)) void dots(const int16_t* const (&rows)[R],
                                                           const int8_t* const (&filters)[O], int32_t count,
                                                           int32_t (&sums)[R][O]) {
        const int16_t* x[R];
        const int8_t* w[O];
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) {
            x[r] = rows[r];
        }
#pragma GCC unroll 4
        for (int o = 0; o < O; ++o) {
            w[o] = filters[o];
        }
        for (; count >= 4; count -= 4) {
            int32_t even[R];
            int32_t odd[R];
#pragma GCC unroll 4
            for (int r = 0; r < R; ++r) {
                const auto low = static_cast<uint32_t>(load_word(x[r]));
                const auto high = static_cast<uint32_t>(load_word(x[r] + 2));
                x[r] += 4;
                even[r] = static_cast<int32_t>((low & 0xFFFFu) | (high << 16));
                odd[r] = static_cast<int32_t>((low >> 16) | (high & 0xFFFF0000u));
            }
#pragma GCC unroll 4
            for (int o = 0; o < O; ++o) {
                const int32_t taps = load_word(w[o]);
                w[o] += 4;
                const int32_t first = even_bytes(taps);
                const int32_t second = odd_bytes(taps);
#pragma GCC unroll 4
                for (int r = 0; r < R; ++r) {
                    sums[r][o] = __smlad(even[r], first, sums[r][o]);
                    sums[r][o] = __smlad(odd[r], second, sums[r][o]);
                }
            }
        }
#pragma GCC unroll 1
        for (int32_t i = 0; i < count; ++i) {
#pragma GCC unroll 4
            for (int o = 0; o < O; ++o) {
#pragma GCC unroll 4
                for (int r = 0; r < R; ++r) {
                    sums[r][o] += x[r][i] * w[o][i];
                }
            }
        }
    }
};

}  // namespace mcu::kernels::dsp
