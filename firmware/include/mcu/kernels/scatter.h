// Write at positions that a tensor holds: the mirror image of gather.h. The output is the input but for
//
//   scatter_<how>   output[..., index[i], ...] = combine(output there, source[i]) along one dimension, at the
//                   position of i in the other dimensions
//   put_<how>       output[o][index[i]] = combine(output there, source[o][i]), blocks of `inner` elements
//   masked_scatter  output[i] = the next element of the source where mask[i] is set
//   insert          output[position] = source[position'] for a block of positions, strides apart
//
// Input and output are dense, of the same order. Positions are taken in order, so of several values for one
// place the last stays, and sums are rounded one by one in that order. `how` is set (elements of any type, by
// their size), add, mul, max or min (a NaN wins). A negative index counts from the end. One beyond the ends,
// for which PyTorch raises an error, is left out, and masked_scatter leaves the rest alone when the source
// ends: memory outside the tensors is never touched. Integers keep the low bits.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct ScatterParams {
    int32_t elements;   // of input and output
    int32_t shape[6];   // of the index, which is dense
    int32_t source[6];  // strides of the source, in elements; all 0 for one value
    int32_t output[6];  // strides of the output, in elements; 0 for the dimension that is looked up
    int32_t size;       // of that dimension, and its stride
    int32_t stride;
};

struct PutParams {
    int32_t outer;
    int32_t size;
    int32_t count;  // of the index
    int32_t inner;
};

struct MaskedScatterParams {
    int32_t elements;
    int32_t available;  // elements of the source
    int32_t element_bytes;
};

struct InsertParams {
    int32_t bytes;  // of input and output
    int32_t element_bytes;
    int32_t offset;  // of the first position in the output, in bytes
    int32_t shape[6];
    int32_t strides[6];  // of the output, in bytes; the source is dense
};

#define MCU_SCATTER(how, suffix, type)                                                                  \
    void scatter_##how##_##suffix(const ScatterParams& params, const type* input, const int64_t* index, \
                                  const type* source, type* output);                                    \
    void put_##how##_##suffix(const PutParams& params, const type* input, const int64_t* index,         \
                              const type* source, type* output);
#define MCU_SCATTER_ALL(suffix, type) \
    MCU_SCATTER(add, suffix, type)    \
    MCU_SCATTER(mul, suffix, type)    \
    MCU_SCATTER(max, suffix, type)    \
    MCU_SCATTER(min, suffix, type)
MCU_SCATTER_ALL(s32, int32_t)
MCU_SCATTER_ALL(s64, int64_t)
MCU_SCATTER_ALL(f32, float)
MCU_SCATTER(set, x8, void)
MCU_SCATTER(set, x16, void)
MCU_SCATTER(set, x32, void)
MCU_SCATTER(set, x64, void)
#undef MCU_SCATTER_ALL
#undef MCU_SCATTER

void masked_scatter(const MaskedScatterParams& params, const void* input, const bool* mask,
                    const void* source, void* output);
void insert(const InsertParams& params, const void* input, const void* source, void* output);

}  // namespace mcu::kernels
