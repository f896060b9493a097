// Logarithm of the softmax of int16 along rows of [rows][columns].
//
//   output = clamp(-((max - value) * step + log2(sum of powers) * octave) >> output_shift)
//
// Powers are those of softmax_s16.h; log2 has 16 bits behind the point, the rest cut off. Exact
// (round_s16.h), equal to mcu_build::log_softmax_s16. Two products of 64 bits an element.

#pragma once

#include "mcu/kernels/round_s16.h"

namespace mcu::kernels {

struct LogSoftmaxS16Params {
    int32_t rows;
    int32_t columns;
    int32_t multiplier;
    int32_t shift;
    int32_t step;
    int32_t octave;
    int32_t output_shift;
};

void log_softmax_s16(const LogSoftmaxS16Params& params, const int16_t* input, const int32_t* table,
                     int16_t* output);

}  // namespace mcu::kernels
