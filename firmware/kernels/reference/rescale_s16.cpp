#include "mcu/kernels/rescale_s16.h"

namespace mcu::kernels {
namespace {

// Differences of int8 and int16 have 17 bits.
constexpr int32_t kLargest = 65535;

template <typename In, typename Out>
void rescale(const RescaleS16Params& given, const In* input, Out* output) {
    const RescaleS16Params params = given;  // which stores cannot change
    if (fits_high_scale(kLargest, params.shift)) {
        const HighScale scale = high_scale(params.multiplier, params.shift);
        for (int32_t i = 0; i < params.count; ++i) {
            const int32_t moved = rounded_high(input[i] - params.input_zero_point, scale);
            output[i] = static_cast<Out>(bounded_s16(moved + params.output_zero_point, params.bounds));
        }
        return;
    }
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
