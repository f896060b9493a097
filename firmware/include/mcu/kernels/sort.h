// The entries along one dimension in their order, and where they stood.
//
// The tensor is dense, [outer][size][inner]; so are the outputs. Of equal entries the one that stands first
// comes first, ascending or descending; a NaN is larger than everything. Exact. No scratch: the positions are
// sorted in their place, in n log n comparisons a line.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct SortParams {
    int32_t outer;
    int32_t size;
    int32_t inner;
    bool descending;
};

void sort_s8(const SortParams& params, const int8_t* input, int8_t* values, int64_t* indices);
void sort_s16(const SortParams& params, const int16_t* input, int16_t* values, int64_t* indices);
void sort_s32(const SortParams& params, const int32_t* input, int32_t* values, int64_t* indices);
void sort_s64(const SortParams& params, const int64_t* input, int64_t* values, int64_t* indices);
void sort_f32(const SortParams& params, const float* input, float* values, int64_t* indices);

}  // namespace mcu::kernels
