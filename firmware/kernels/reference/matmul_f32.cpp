#include "mcu/kernels/matmul_f32.h"

namespace mcu::kernels {

void matmul_f32(const MatmulF32Params& params, const float* first, const float* second, const float* bias,
                float* output) {
    const int32_t* const f = params.first_strides;
    const int32_t* const s = params.second_strides;
    for (int32_t b = 0; b < params.batches; ++b) {
        for (int32_t i = 0; i < params.rows; ++i) {
            for (int32_t j = 0; j < params.columns; ++j) {
                const float* x = first + b * f[0] + i * f[1];
                const float* y = second + b * s[0] + j * s[2];
                float sum = 0.0f;
                for (int32_t k = 0; k < params.depth; ++k) sum += x[k * f[2]] * y[k * s[1]];
                *output++ = bias != nullptr ? sum + bias[j] : sum;
            }
        }
    }
}

}  // namespace mcu::kernels
