// Move elements into another memory layout: transposes and changes between channels-first and
// channels-last.
//
//   output[i0][i1]...[i5] = *(input + i0 * strides[0] + ... + i5 * strides[5])
//
// The output is dense, outermost dimension first. An element is `element_bytes` bytes of any kind: a number,
// or the longest run of numbers that stays together. Unused leading dimensions have shape 1. Exact: bytes are
// copied. The inner loop is one copy of an element for each output element.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct PermuteParams {
    int32_t element_bytes;
    int32_t shape[6];    // of the output, in elements
    int32_t strides[6];  // of the input, in bytes, for the dimensions of the output
};

void permute(const PermuteParams& params, const void* input, void* output);

}  // namespace mcu::kernels
