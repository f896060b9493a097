#include "mcu/kernels/topk.h"

#include "before.h"

namespace mcu::kernels {
namespace {

// The first entry of a line that comes after entry `last` (-1: any).
template <typename Number>
int32_t next(const TopkParams& params, const Number* line, int32_t last) {
    const auto at = [&](int32_t i) { return line[i * params.inner]; };
    int32_t found = -1;
    for (int32_t i = 0; i < params.size; ++i) {
        const bool taken = last >= 0 && !before(params.largest, at(last), last, at(i), i);
        if (!taken && (found < 0 || before(params.largest, at(i), i, at(found), found))) found = i;
    }
    return found;
}

template <typename Number>
void topk(const TopkParams& params, const Number* input, Number* values, int64_t* indices) {
    for (int32_t o = 0; o < params.outer; ++o) {
        for (int32_t i = 0; i < params.inner; ++i) {
            const Number* const line = input + o * params.size * params.inner + i;
            int32_t last = -1;
            for (int32_t k = 0; k < params.count; ++k) {
                last = next(params, line, last);
                const int32_t place = (o * params.count + k) * params.inner + i;
                values[place] = line[last * params.inner];
                indices[place] = last;
            }
        }
    }
}

}  // namespace

void topk_s8(const TopkParams& params, const int8_t* input, int8_t* values, int64_t* indices) {
    topk(params, input, values, indices);
}

void topk_s16(const TopkParams& params, const int16_t* input, int16_t* values, int64_t* indices) {
    topk(params, input, values, indices);
}

void topk_s32(const TopkParams& params, const int32_t* input, int32_t* values, int64_t* indices) {
    topk(params, input, values, indices);
}

void topk_s64(const TopkParams& params, const int64_t* input, int64_t* values, int64_t* indices) {
    topk(params, input, values, indices);
}

void topk_f32(const TopkParams& params, const float* input, float* values, int64_t* indices) {
    topk(params, input, values, indices);
}

}  // namespace mcu::kernels
