#include "mcu/kernels/distance.h"

#include "mcu/kernels/math_f32.h"

namespace mcu::kernels {
namespace {

template <typename Term>
float sum_of(int32_t size, const float* a, const float* b, const Term& term) {
    float sum = 0.0f;
    for (int32_t i = 0; i < size; ++i) sum += term(math::abs(a[i] - b[i]));
    return sum;
}

float largest(int32_t size, const float* a, const float* b) {
    float found = 0.0f;
    for (int32_t i = 0; i < size; ++i) {
        const float distance = math::abs(a[i] - b[i]);
        // Only a NaN differs from itself: it stays.
        if (distance > found || distance != distance) found = distance;
    }
    return found;
}

float distance(float p, int32_t size, const float* a, const float* b) {
    if (p == 0.0f) return sum_of(size, a, b, [](float d) { return d != 0.0f ? 1.0f : 0.0f; });
    if (p == 1.0f) return sum_of(size, a, b, [](float d) { return d; });
    if (p == 2.0f) return math::sqrt(sum_of(size, a, b, [](float d) { return d * d; }));
    if (math::is_inf(p)) return largest(size, a, b);
    return math::pow(sum_of(size, a, b, [p](float d) { return math::pow(d, p); }), 1.0f / p);
}

}  // namespace

void cdist_f32(const CdistParams& params, const float* first, const float* second, float* output) {
    for (int32_t b = 0; b < params.batches; ++b) {
        for (int32_t i = 0; i < params.first_rows; ++i) {
            for (int32_t j = 0; j < params.second_rows; ++j) {
                *output++ =
                    distance(params.p, params.size, first + i * params.size, second + j * params.size);
            }
        }
        first += params.first_rows * params.size;
        second += params.second_rows * params.size;
    }
}

void pdist_f32(const PdistParams& params, const float* input, float* output) {
    for (int32_t i = 0; i < params.rows; ++i) {
        for (int32_t j = i + 1; j < params.rows; ++j) {
            *output++ = distance(params.p, params.size, input + i * params.size, input + j * params.size);
        }
    }
}

}  // namespace mcu::kernels
