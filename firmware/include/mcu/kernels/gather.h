// Read at positions that a tensor holds.
//
//   take    output[o][i] = input[o][index[i]]            blocks of `block_bytes`; input dense [outer][size]
//   gather  output[i0]...[i5] = input at the same position, with index[i0]...[i5] along one dimension
//
// A negative index counts from the end. One beyond the ends, for which PyTorch raises an error, reads the
// nearest entry: memory outside the tensor is never touched. Exact: bytes are copied.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct TakeParams {
    int32_t outer;
    int32_t size;
    int32_t count;
    int32_t block_bytes;
};

struct GatherParams {
    int32_t element_bytes;
    int32_t shape[6];    // of index and output, both dense
    int32_t strides[6];  // of the input, in bytes; 0 for the dimension that is looked up
    int32_t size;        // of that dimension, and its stride in bytes
    int32_t stride;
};

void take(const TakeParams& params, const void* input, const int64_t* index, void* output);
void gather(const GatherParams& params, const void* input, const int64_t* index, void* output);

}  // namespace mcu::kernels
