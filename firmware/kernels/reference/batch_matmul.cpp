#include "mcu/kernels/batch_matmul.h"

namespace mcu::kernels {

void batch_matmul_s8(const BatchMatmulParams& params, const int8_t* left, const int8_t* right,
                     int8_t* output) {
    for (int32_t b = 0; b < params.batch; ++b) {
        for (int32_t r = 0; r < params.rows; ++r) {
            const int8_t* row = left + (b * params.rows + r) * params.inner;
            for (int32_t c = 0; c < params.columns; ++c) {
                const int8_t* column = right + (b * params.columns + c) * params.inner;
                int32_t sum = 0;
                for (int32_t k = 0; k < params.inner; ++k) {
                    sum += (row[k] + params.left_offset) * (column[k] + params.right_offset);
                }
                *output++ = to_int8(sum, params.multiplier, params.shift, params.epilogue);
            }
        }
    }
}

}  // namespace mcu::kernels
