#include "mcu/kernels/dsp_mul.h"

#include "requantize.h"

namespace mcu::kernels {

void dsp_mul_s8(const DspMulParams& params, const int8_t* first, const int8_t* second, int8_t* output) {
    const DspScale scale = params.scale;
    const int32_t zero = params.first_zero;
    const int32_t doubled_zero = 2 * params.second_zero;
    const int32_t first_step = params.space.first[5];
    const int32_t second_step = params.space.second[5];
    for_each_line(params.space, first, second, output, [&](const int8_t* a, const int8_t* b, int8_t* to) {
        for (int32_t left = params.space.shape[5]; left > 0; --left) {
            const int32_t doubled = (*a - zero) * (2 * *b - doubled_zero);
            *to++ = dsp::requantize<dsp::Form::kHalfAway>(doubled, scale, {});
            a += first_step;
            b += second_step;
        }
    });
}

}  // namespace mcu::kernels
