// Put one operand of a concatenation into its place.
//
//   output[row * stride + offset + i] = input[row * bytes + i]
//
// Sizes are in bytes. The operand is dense: `rows` is the product of its dimensions before the one that is
// joined, `bytes` of those from there on; `stride` is the output's. Exact: bytes are copied, one memcpy a
// row.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct ConcatParams {
    int32_t rows;
    int32_t bytes;
    int32_t stride;
    int32_t offset;
};

void concat(const ConcatParams& params, const void* input, void* output);

}  // namespace mcu::kernels
