#include "mcu/kernels/linear_s16.h"

namespace mcu::kernels {
namespace {

template <typename Sum>
void linear(const LinearS16Params& params, const int16_t* input, const int8_t* weights, const int32_t* bias,
            const int32_t* multipliers, const int32_t* shifts, int16_t* output) {
    for (int32_t r = 0; r < params.rows; ++r, input += params.inputs) {
        for (int32_t o = 0; o < params.outputs; ++o) {
            const int8_t* const filter = weights + o * params.inputs;
            Sum sum = bias[o];
            for (int32_t i = 0; i < params.inputs; ++i) {
                sum += input[i] * filter[i];
            }
            *output++ = to_int16(sum, multipliers[o], shifts[o], params.bounds);
        }
    }
}

}  // namespace

void linear_s16(const LinearS16Params& params, const int16_t* input, const int8_t* weights,
                const int32_t* bias, const int32_t* multipliers, const int32_t* shifts, int16_t* output) {
    const auto kernel = params.is_long ? linear<int64_t> : linear<int32_t>;
    kernel(params, input, weights, bias, multipliers, shifts, output);
}

}  // namespace mcu::kernels
