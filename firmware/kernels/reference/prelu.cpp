#include "mcu/kernels/prelu.h"

#include "mcu/kernels/requantize.h"

namespace mcu::kernels {

void prelu_s8(const PreluParams& params, const int8_t* input, const int32_t* slopes, int8_t* output) {
    const int32_t half = 1 << (params.shift - 1);
    for (int32_t o = 0; o < params.outer; ++o) {
        for (int32_t c = 0; c < params.channels; ++c) {
            const int32_t slope = slopes[c];
            for (int32_t i = 0; i < params.inner; ++i) {
                const int32_t d = *input++ - params.input_zero_point;
                const int32_t scaled = (d * (d < 0 ? slope : params.positive) + half) >> params.shift;
                *output++ = static_cast<int8_t>(clamp(scaled + params.output_zero_point, -128, 127));
            }
        }
    }
}

}  // namespace mcu::kernels
