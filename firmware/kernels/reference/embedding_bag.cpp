#include "mcu/kernels/embedding_bag.h"

#include <algorithm>

namespace mcu::kernels {
namespace {

int32_t inside(int64_t value, int32_t last) {
    return static_cast<int32_t>(std::min(std::max(value, int64_t{0}), int64_t{last}));
}

// Call `entry(so far or null, x, i)` for each entry of each row of a bag, then `finish(result, rows)`.
template <typename Entry, typename Finish>
void for_each_bag(const EmbeddingBagParams& params, const float* weight, const int64_t* index,
                  const int64_t* offsets, float* output, const Entry& entry, const Finish& finish) {
    for (int32_t b = 0; b < params.bags; ++b, output += params.size) {
        const int32_t end = b + 1 < params.bags ? inside(offsets[b + 1], params.count) : params.count;
        int32_t taken = 0;
        for (int32_t i = inside(offsets[b], params.count); i < end; ++i) {
            if (index[i] == params.padding) continue;
            const float* const row = weight + inside(index[i], params.rows - 1) * params.size;
            for (int32_t k = 0; k < params.size; ++k) {
                output[k] = entry(taken == 0 ? nullptr : output + k, row[k], i);
            }
            ++taken;
        }
        for (int32_t k = 0; k < params.size; ++k) output[k] = taken == 0 ? 0.0f : finish(output[k], taken);
    }
}

}  // namespace

void bag_sum_f32(const EmbeddingBagParams& params, const float* weight, const int64_t* index,
                 const int64_t* offsets, const float* factors, float* output) {
    for_each_bag(
        params, weight, index, offsets, output,
        [&](const float* so_far, float x, int32_t i) {
            const float term = factors != nullptr ? x * factors[i] : x;
            return so_far != nullptr ? *so_far + term : term;
        },
        [](float sum, int32_t) { return sum; });
}

void bag_mean_f32(const EmbeddingBagParams& params, const float* weight, const int64_t* index,
                  const int64_t* offsets, float* output) {
    for_each_bag(
        params, weight, index, offsets, output,
        [](const float* so_far, float x, int32_t) { return so_far != nullptr ? *so_far + x : x; },
        [](float sum, int32_t count) { return sum / static_cast<float>(count); });
}

void bag_max_f32(const EmbeddingBagParams& params, const float* weight, const int64_t* index,
                 const int64_t* offsets, float* output) {
    for_each_bag(
        params, weight, index, offsets, output,
        [](const float* so_far, float x, int32_t) { return so_far == nullptr || x > *so_far ? x : *so_far; },
        [](float largest, int32_t) { return largest; });
}

}  // namespace mcu::kernels
