#include "mcu/kernels/log_softmax_s16.h"

#include "mcu/kernels/powers_s16.h"
#include "mcu/kernels/softmax_share.h"

namespace mcu::kernels {

void log_softmax_s16(const LogSoftmaxS16Params& params, const int16_t* input, const int32_t* table,
                     int16_t* output) {
    const powers::Powers power(table, params.multiplier, params.shift);
    for (int32_t r = 0; r < params.rows; ++r) {
        int32_t highest = -32768;
        for (int32_t i = 0; i < params.columns; ++i) {
            highest = input[i] > highest ? input[i] : highest;
        }
        int64_t sum = 0;
        for (int32_t i = 0; i < params.columns; ++i) {
            sum += power(highest - input[i]);
        }
        const int64_t start = log2_of(static_cast<uint64_t>(sum) << 1) * params.octave;
        for (int32_t i = 0; i < params.columns; ++i) {
            const int64_t below = start + static_cast<int64_t>(highest - *input++) * params.step;
            *output++ = saturated_s16(-rounded_shift(below, params.output_shift));
        }
    }
}

}  // namespace mcu::kernels
