#include "mcu/kernels/thumb_mean.h"

#include "requantize.h"

namespace mcu::kernels {
namespace {

int32_t sum_of(const MeanWindow& window, const int8_t* first) {
    int32_t sum = 0;
    for (int32_t y = window.rows; y > 0; --y, first += window.row) {
        const int8_t* pixel = first;
#pragma GCC unroll 4
        for (int32_t x = window.columns; x > 0; --x, pixel += window.column) {
            sum += *pixel;
        }
    }
    return sum;
}

}  // namespace

void thumb_mean_s8(const MeanParams& params, const int8_t* input, int8_t* output) {
    const MeanWindow window = mean_window(params);
    const int32_t factor = params.factor >> 1;
    for_each_mean(params, input, [&](const int8_t* first) {
        for (int32_t c = params.input.channels; c > 0; --c) {
            const int32_t sum = factor * sum_of(window, first++);
            *output++ = thumb::requantize<thumb::Form::kHalfAway>(sum, params.scale, {});
        }
    });
}

}  // namespace mcu::kernels
