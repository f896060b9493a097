#include "mcu/kernels/scan.h"

namespace mcu::kernels {
namespace {

// Call `line` with the offset of the first entry of every line along the dimension.
template <typename Line>
void for_each_line(const ScanParams& params, const Line& line) {
    for (int32_t o = 0; o < params.outer; ++o) {
        for (int32_t i = 0; i < params.inner; ++i) line(o * params.size * params.inner + i);
    }
}

template <typename Number, typename Wins>
void extremes(const ScanParams& params, const Number* input, Number* values, int64_t* indices,
              const Wins& wins) {
    for_each_line(params, [&](int32_t start) {
        int32_t best = 0;
        for (int32_t i = 0; i < params.size; ++i) {
            const Number x = input[start + i * params.inner];
            const Number old = input[start + best * params.inner];
            // Only a NaN differs from itself.
            if (x != x || (old == old && wins(x, old))) best = i;
            values[start + i * params.inner] = input[start + best * params.inner];
            indices[start + i * params.inner] = best;
        }
    });
}

}  // namespace

void cumprod_f32(const ScanParams& params, const float* input, float* output) {
    for_each_line(params, [&](int32_t start) {
        float product = 1.0f;
        for (int32_t i = 0; i < params.size; ++i) {
            product *= input[start + i * params.inner];
            output[start + i * params.inner] = product;
        }
    });
}

void cumprod_s64(const ScanParams& params, const int64_t* input, int64_t* output) {
    for_each_line(params, [&](int32_t start) {
        uint64_t product = 1;
        for (int32_t i = 0; i < params.size; ++i) {
            product *= static_cast<uint64_t>(input[start + i * params.inner]);
            output[start + i * params.inner] = static_cast<int64_t>(product);
        }
    });
}

#define MCU_EXTREME_SCAN(suffix, type)                                                                  \
    void cummax_##suffix(const ScanParams& params, const type* input, type* values, int64_t* indices) { \
        extremes(params, input, values, indices, [](type x, type old) { return x >= old; });            \
    }                                                                                                   \
    void cummin_##suffix(const ScanParams& params, const type* input, type* values, int64_t* indices) { \
        extremes(params, input, values, indices, [](type x, type old) { return x <= old; });            \
    }
MCU_EXTREME_SCAN(s8, int8_t)
MCU_EXTREME_SCAN(s16, int16_t)
MCU_EXTREME_SCAN(s32, int32_t)
MCU_EXTREME_SCAN(s64, int64_t)
MCU_EXTREME_SCAN(f32, float)

}  // namespace mcu::kernels
