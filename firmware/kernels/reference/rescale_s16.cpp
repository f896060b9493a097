#include "mcu/kernels/rescale_s16.h"

namespace mcu::kernels {
namespace {

template <typename In, typename Out>
void rescale(const RescaleS16Params& params, const In* input, Out* output) {
    for (int32_t i = 0; i < params.count; ++i) {
        const int64_t moved = rounded(input[i] - params.input_zero_point, params.multiplier, params.shift);
        output[i] = static_cast<Out>(bounded_s16(moved + params.output_zero_point, params.bounds));
    }
}

}  // namespace

void rescale_s8_s16(const RescaleS16Params& params, const int8_t* input, int16_t* output) {
    rescale(params, input, output);
}

void rescale_s16_s8(const RescaleS16Params& params, const int16_t* input, int8_t* output) {
    rescale(params, input, output);
}

void rescale_s16_s16(const RescaleS16Params& params, const int16_t* input, int16_t* output) {
    rescale(params, input, output);
}

}  // namespace mcu::kernels
