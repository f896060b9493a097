#include "mcu/kernels/matmul_s16.h"

namespace mcu::kernels {

void matmul_s16(const MatmulS16Params& params, const int16_t* left, const int16_t* right, int16_t* output) {
    const MatmulScaleS16 scale(params);
    for (int32_t b = 0; b < params.batch; ++b, right += params.columns * params.inner) {
        for (int32_t r = 0; r < params.rows; ++r, left += params.inner) {
            for (int32_t c = 0; c < params.columns; ++c) {
                const int16_t* const column = right + c * params.inner;
                int64_t sum = 0;
                for (int32_t i = 0; i < params.inner; ++i) {
                    sum += left[i] * column[i];
                }
                *output++ = scale(sum);
            }
        }
    }
}

}  // namespace mcu::kernels
