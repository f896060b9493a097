// The `count` largest or smallest entries along one dimension, in their order, and where they stand.
//
// The tensor is dense, [outer][size][inner]; outputs are [outer][count][inner]. Of equal entries the one that
// stands first comes first; a NaN is larger than everything. Exact. count * size comparisons a line, no
// scratch: for the few entries that networks ask for.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct TopkParams {
    int32_t outer;
    int32_t size;
    int32_t inner;
    int32_t count;
    bool largest;
};

void topk_s8(const TopkParams& params, const int8_t* input, int8_t* values, int64_t* indices);
void topk_s16(const TopkParams& params, const int16_t* input, int16_t* values, int64_t* indices);
void topk_s32(const TopkParams& params, const int32_t* input, int32_t* values, int64_t* indices);
void topk_s64(const TopkParams& params, const int64_t* input, int64_t* values, int64_t* indices);
void topk_f32(const TopkParams& params, const float* input, float* values, int64_t* indices);

}  // namespace mcu::kernels
