// VMLALDAVA adds eight products to a sum of 64 bits.

#include "mcu/kernels/matmul_s16.h"

#include <arm_mve.h>

#include "mcu/kernels/matmul_tiles_s16.h"

namespace mcu::kernels {
namespace {

struct Dots {
    template <int R, int C>
    static inline __attribute__((always_inline)) void dots(const int16_t* left, const int16_t* right,
                                                           int32_t inner, int64_t (&sums)[R][C]) {
        int32_t i = 0;
        for (; i + 8 <= inner; i += 8) {
            int16x8_t rows[R];
#pragma GCC unroll 2
            for (int r = 0; r < R; ++r) {
                rows[r] = vldrhq_s16(left + r * inner + i);
            }
#pragma GCC unroll 2
            for (int c = 0; c < C; ++c) {
                const int16x8_t column = vldrhq_s16(right + c * inner + i);
#pragma GCC unroll 2
                for (int r = 0; r < R; ++r) {
                    sums[r][c] = vmlaldavaq_s16(sums[r][c], rows[r], column);
                }
            }
        }
        if (i < inner) {
            const mve_pred16_t rest = vctp16q(static_cast<uint32_t>(inner - i));
#pragma GCC unroll 2
            for (int c = 0; c < C; ++c) {
                const int16x8_t column = vldrhq_z_s16(right + c * inner + i, rest);
#pragma GCC unroll 2
                for (int r = 0; r < R; ++r) {
                    const int16x8_t row = vldrhq_z_s16(left + r * inner + i, rest);
                    sums[r][c] = vmlaldavaq_s16(sums[r][c], row, column);
                }
            }
        }
    }
};

}  // namespace

void matmul_s16(const MatmulS16Params& params, const int16_t* left, const int16_t* right, int16_t* output) {
    tiles::matmul<Dots, 2>(params, left, right, output);
}

}  // namespace mcu::kernels
