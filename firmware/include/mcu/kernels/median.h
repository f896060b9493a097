// The median along one dimension of a dense tensor, seen as [outer][size][inner]; results are [outer][inner].
//
//   value = the entry that (size - 1) / 2 others come before, by size and, where equal, by place: the lower
//           of two in the middle, as torch.median has it; index = its place
//
// Exact: an entry is copied. A line with a NaN has the first NaN. Entries are counted, not sorted, so that no
// memory is needed: size comparisons for each entry.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct MedianParams {
    int32_t outer;
    int32_t size;
    int32_t inner;
};

void median_f32(const MedianParams& params, const float* input, float* values, int64_t* indices);
void median_s8(const MedianParams& params, const int8_t* input, int8_t* values, int64_t* indices);
void median_s32(const MedianParams& params, const int32_t* input, int32_t* values, int64_t* indices);
void median_s64(const MedianParams& params, const int64_t* input, int64_t* values, int64_t* indices);

}  // namespace mcu::kernels
