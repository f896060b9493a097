#include "mcu/kernels/median.h"

namespace mcu::kernels {
namespace {

// The place of the median in a line whose entries are `step` apart.
template <typename T>
int32_t middle(const T* line, int32_t size, int32_t step) {
    for (int32_t i = 0; i < size; ++i) {
        const T x = line[i * step];
        if (x != x) return i;  // NaN
    }
    for (int32_t i = 0; i < size; ++i) {
        const T x = line[i * step];
        int32_t before = 0;
        for (int32_t j = 0; j < size; ++j) {
            const T y = line[j * step];
            before += y < x || (y == x && j < i);
        }
        if (before == (size - 1) / 2) return i;
    }
    return 0;
}

template <typename T>
void median(const MedianParams& params, const T* input, T* values, int64_t* indices) {
    for (int32_t o = 0; o < params.outer; ++o) {
        for (int32_t i = 0; i < params.inner; ++i) {
            const T* line = input + o * params.size * params.inner + i;
            const int32_t place = middle(line, params.size, params.inner);
            values[o * params.inner + i] = line[place * params.inner];
            indices[o * params.inner + i] = place;
        }
    }
}

}  // namespace

void median_f32(const MedianParams& params, const float* input, float* values, int64_t* indices) {
    median(params, input, values, indices);
}

void median_s8(const MedianParams& params, const int8_t* input, int8_t* values, int64_t* indices) {
    median(params, input, values, indices);
}

void median_s32(const MedianParams& params, const int32_t* input, int32_t* values, int64_t* indices) {
    median(params, input, values, indices);
}

void median_s64(const MedianParams& params, const int64_t* input, int64_t* values, int64_t* indices) {
    median(params, input, values, indices);
}

}  // namespace mcu::kernels
