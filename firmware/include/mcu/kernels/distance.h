// Distances between vectors: the p-norm of their difference.
//
//   cdist  output[b][i][j] = |first[b][i] - second[b][j]|
//   pdist  output[...] = |input[i] - input[j]| for i < j, in that order
//
// p is 0 (how many entries differ), 1, 2, infinity (the largest entry) or any other positive number. All
// tensors are dense. Sums are taken in order, one rounding each; one operation, for other p one power, for
// each entry.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct CdistParams {
    int32_t batches;
    int32_t first_rows;
    int32_t second_rows;
    int32_t size;  // entries of a vector
    float p;
};

struct PdistParams {
    int32_t rows;
    int32_t size;
    float p;
};

void cdist_f32(const CdistParams& params, const float* first, const float* second, float* output);
void pdist_f32(const PdistParams& params, const float* input, float* output);

}  // namespace mcu::kernels
