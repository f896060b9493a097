// Reduce some dimensions of a tensor to one number.
//
//   output[kept position] = reduction over all reduced positions of
//                           input[sum of position * stride over kept and reduced dimensions]
//
// The output is dense, its outermost dimension first; strides are in elements; unused leading dimensions have
// shape 1.
//
//   sum, prod    floats in order of position, one rounding each; of integers exact, the low 64 bits
//   mean         sum / number of positions
//   var          sum of (x - mean)^2 / divisor, in two passes
//   amax, amin   exact; a NaN wins over everything
//   argmax ...   number of the first position that holds it, counting positions outermost first
//   any, all     whether one, or every element is set
//
// One load and one operation for each element (var: two and four).

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct ReduceParams {
    int32_t kept[4];
    int32_t kept_strides[4];
    int32_t reduced[4];
    int32_t reduced_strides[4];
};

struct VarianceParams {
    ReduceParams space;
    float divisor;
};

void sum_f32(const ReduceParams& params, const float* input, float* output);
void sum_s64(const ReduceParams& params, const int64_t* input, int64_t* output);
void prod_f32(const ReduceParams& params, const float* input, float* output);
void prod_s64(const ReduceParams& params, const int64_t* input, int64_t* output);
void mean_f32(const ReduceParams& params, const float* input, float* output);
void var_f32(const VarianceParams& params, const float* input, float* output);
void any_bool(const ReduceParams& params, const bool* input, bool* output);
void all_bool(const ReduceParams& params, const bool* input, bool* output);

#define MCU_EXTREMES(suffix, type)                                                        \
    void amax_##suffix(const ReduceParams& params, const type* input, type* output);      \
    void amin_##suffix(const ReduceParams& params, const type* input, type* output);      \
    void argmax_##suffix(const ReduceParams& params, const type* input, int64_t* output); \
    void argmin_##suffix(const ReduceParams& params, const type* input, int64_t* output);
MCU_EXTREMES(s8, int8_t)
MCU_EXTREMES(s16, int16_t)
MCU_EXTREMES(s32, int32_t)
MCU_EXTREMES(s64, int64_t)
MCU_EXTREMES(f32, float)
#undef MCU_EXTREMES

}  // namespace mcu::kernels
