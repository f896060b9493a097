#include "mcu/kernels/linear.h"

namespace mcu::kernels {

void linear_s8(const LinearParams& params, const int8_t* input, const int8_t* weights, const int32_t* bias,
               int8_t* output) {
    for (int32_t r = 0; r < params.rows; ++r) {
        const int8_t* row = input + r * params.inputs;
        for (int32_t o = 0; o < params.outputs; ++o) {
            const int8_t* filter = weights + o * params.inputs;
            int32_t sum = bias != nullptr ? bias[o] : 0;
            for (int32_t i = 0; i < params.inputs; ++i) {
                sum += (row[i] + params.input_offset) * (filter[i] + params.filter_offset);
            }
            *output++ = to_int8(sum, params.multiplier, params.shift, params.epilogue);
        }
    }
}

}  // namespace mcu::kernels
