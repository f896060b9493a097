#include "mcu/kernels/pairs_s16.h"

namespace mcu::kernels {

void add_s16(const AddS16Params& given, const int16_t* first, const int16_t* second, int16_t* output) {
    const AddS16Params params = given;
    const int32_t half = (1 << params.shift) >> 1;
    for_each_pair(params.space, first, second, output, [&params, half](int16_t a, int16_t b) {
        const int32_t sum = a * params.first_multiplier + b * params.second_multiplier + half;
        return bounded_s16(sum >> params.shift, params.bounds);
    });
}

void mul_s16(const MulS16Params& params, const int16_t* first, const int16_t* second, int16_t* output) {
    if (params.shift < 33) {
        return for_each_pair(params.space, first, second, output, [&params](int16_t a, int16_t b) {
            return to_int16(a * b, params.multiplier, params.shift, params.bounds);
        });
    }
    const HighScale scale = high_scale(params.multiplier, params.shift);
    const BoundsS16 bounds = params.bounds;
    for_each_pair(params.space, first, second, output, [scale, bounds](int16_t a, int16_t b) {
        return bounded_s16(rounded_high(a * b, scale), bounds);
    });
}

}  // namespace mcu::kernels
