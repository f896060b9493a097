#include "mcu/kernels/along.h"

#include "mcu/kernels/math_f32.h"

namespace mcu::kernels {
namespace {

// Call `line` with the offset of the first entry of every line along the dimension.
template <typename Line>
void for_each_line(const AlongParams& params, const Line& line) {
    for (int32_t o = 0; o < params.outer; ++o) {
        for (int32_t i = 0; i < params.inner; ++i) line(o * params.size * params.inner + i);
    }
}

float largest(const AlongParams& params, const float* line) {
    float found = line[0];
    for (int32_t i = 1; i < params.size; ++i) {
        const float x = line[i * params.inner];
        if (x > found) found = x;
    }
    return found;
}

}  // namespace

void softmax_f32(const AlongParams& params, const float* input, float* output) {
    for_each_line(params, [&](int32_t start) {
        const float* in = input + start;
        float* out = output + start;
        const float top = largest(params, in);
        float sum = 0.0f;
        for (int32_t i = 0; i < params.size; ++i) {
            const float e = math::exp(in[i * params.inner] - top);
            out[i * params.inner] = e;
            sum += e;
        }
        for (int32_t i = 0; i < params.size; ++i) out[i * params.inner] /= sum;
    });
}

void log_softmax_f32(const AlongParams& params, const float* input, float* output) {
    for_each_line(params, [&](int32_t start) {
        const float* in = input + start;
        const float top = largest(params, in);
        float sum = 0.0f;
        for (int32_t i = 0; i < params.size; ++i) sum += math::exp(in[i * params.inner] - top);
        const float logarithm = math::log(sum);
        for (int32_t i = 0; i < params.size; ++i) {
            output[start + i * params.inner] = in[i * params.inner] - top - logarithm;
        }
    });
}

void cumsum_f32(const AlongParams& params, const float* input, float* output) {
    for_each_line(params, [&](int32_t start) {
        float sum = 0.0f;
        for (int32_t i = 0; i < params.size; ++i) {
            sum += input[start + i * params.inner];
            output[start + i * params.inner] = sum;
        }
    });
}

void cumsum_s64(const AlongParams& params, const int64_t* input, int64_t* output) {
    for_each_line(params, [&](int32_t start) {
        uint64_t sum = 0;
        for (int32_t i = 0; i < params.size; ++i) {
            sum += static_cast<uint64_t>(input[start + i * params.inner]);
            output[start + i * params.inner] = static_cast<int64_t>(sum);
        }
    });
}

}  // namespace mcu::kernels
