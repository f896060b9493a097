// Sums of products of int16 and int8 with VMLADAV: eight multiply-accumulates in an instruction. Weights are
// widened as they are loaded.

#pragma once

#include <arm_mve.h>

#include <cstdint>

namespace mcu::kernels::mve {

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
        for (int32_t eights = count >> 3; eights > 0; --eights) {
            int16x8_t values[R];
#pragma GCC unroll 4
            for (int r = 0; r < R; ++r) {
                values[r] = vldrhq_s16(x[r]);
                x[r] += 8;
            }
#pragma GCC unroll 4
            for (int o = 0; o < O; ++o) {
                const int16x8_t taps = vldrbq_s16(w[o]);
                w[o] += 8;
#pragma GCC unroll 4
                for (int r = 0; r < R; ++r) {
                    sums[r][o] = vmladavaq_s16(sums[r][o], values[r], taps);
                }
            }
        }
        if ((count & 7) != 0) {
            const mve_pred16_t rest = vctp16q(static_cast<uint32_t>(count & 7));
#pragma GCC unroll 4
            for (int o = 0; o < O; ++o) {
                const int16x8_t taps = vldrbq_z_s16(w[o], rest);
#pragma GCC unroll 4
                for (int r = 0; r < R; ++r) {
                    sums[r][o] = vmladavaq_s16(sums[r][o], vldrhq_z_s16(x[r], rest), taps);
                }
            }
        }
    }
};

}  // namespace mcu::kernels::mve
