// Sums, means or maxima over bags of rows of a table.
//
//   output[b] = over i in bag b of weight[index[i]] (sum: times factor[i], which may be null)
//
// Bag b runs from offsets[b] to offsets[b + 1], the last one to the end of the indices. Indices that equal
// `padding` are left out; an empty bag is 0. An index beyond the table reads the nearest row, an offset
// beyond the indices is their end: memory outside the tensors is never touched. Sums are taken in order, one
// rounding each. One operation for each entry of a row.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct EmbeddingBagParams {
    int32_t bags;
    int32_t count;  // of indices
    int32_t rows;
    int32_t size;     // of a row
    int32_t padding;  // a row, or -1
};

void bag_sum_f32(const EmbeddingBagParams& params, const float* weight, const int64_t* index,
                 const int64_t* offsets, const float* factors, float* output);
void bag_mean_f32(const EmbeddingBagParams& params, const float* weight, const int64_t* index,
                  const int64_t* offsets, float* output);
void bag_max_f32(const EmbeddingBagParams& params, const float* weight, const int64_t* index,
                 const int64_t* offsets, float* output);

}  // namespace mcu::kernels
