#include "mcu/kernels/minmax.h"

namespace mcu::kernels {
namespace {

// a != a is a NaN; a NaN in b fails every comparison, so b is what is left.
template <typename V>
void minimum(const MinMaxParams& params, const V* first, const V* second, V* output) {
    for_each_pair(params.space, first, second, output, [](V a, V b) { return a < b || a != a ? a : b; });
}

template <typename V>
void maximum(const MinMaxParams& params, const V* first, const V* second, V* output) {
    for_each_pair(params.space, first, second, output, [](V a, V b) { return a > b || a != a ? a : b; });
}

}  // namespace

void minimum_s8(const MinMaxParams& params, const int8_t* first, const int8_t* second, int8_t* output) {
    minimum(params, first, second, output);
}

void minimum_s16(const MinMaxParams& params, const int16_t* first, const int16_t* second, int16_t* output) {
    minimum(params, first, second, output);
}

void minimum_s32(const MinMaxParams& params, const int32_t* first, const int32_t* second, int32_t* output) {
    minimum(params, first, second, output);
}

void minimum_s64(const MinMaxParams& params, const int64_t* first, const int64_t* second, int64_t* output) {
    minimum(params, first, second, output);
}

void minimum_f32(const MinMaxParams& params, const float* first, const float* second, float* output) {
    minimum(params, first, second, output);
}

void maximum_s8(const MinMaxParams& params, const int8_t* first, const int8_t* second, int8_t* output) {
    maximum(params, first, second, output);
}

void maximum_s16(const MinMaxParams& params, const int16_t* first, const int16_t* second, int16_t* output) {
    maximum(params, first, second, output);
}

void maximum_s32(const MinMaxParams& params, const int32_t* first, const int32_t* second, int32_t* output) {
    maximum(params, first, second, output);
}

void maximum_s64(const MinMaxParams& params, const int64_t* first, const int64_t* second, int64_t* output) {
    maximum(params, first, second, output);
}

void maximum_f32(const MinMaxParams& params, const float* first, const float* second, float* output) {
    maximum(params, first, second, output);
}

}  // namespace mcu::kernels
