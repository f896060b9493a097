// Functions along one dimension of a dense tensor, seen as [outer][size][inner].
//
//   softmax      exp(x - max) / sum of exp(x - max)
//   log_softmax  x - max - log(sum of exp(x - max))
//   cumsum       sum of the entries up to this one
//
// exp and log are those of math_f32.h; sums are taken in order, one rounding each. cumsum of integers keeps
// the low bits. One exp for each element (log_softmax: too).

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct AlongParams {
    int32_t outer;
    int32_t size;
    int32_t inner;
};

void softmax_f32(const AlongParams& params, const float* input, float* output);
void log_softmax_f32(const AlongParams& params, const float* input, float* output);
void cumsum_f32(const AlongParams& params, const float* input, float* output);
void cumsum_s64(const AlongParams& params, const int64_t* input, int64_t* output);

}  // namespace mcu::kernels
