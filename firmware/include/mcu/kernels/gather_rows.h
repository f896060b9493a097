// Rows at equal distances, one behind the other: the samples that a dilated window of a stream reads.
//
//   output[row * bytes + i] = input[row * stride + i]
//
// Exact: bytes are copied.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct GatherRowsParams {
    int32_t rows;
    int32_t bytes;
    int32_t stride;
};

void gather_rows(const GatherRowsParams& params, const void* input, void* output);

}  // namespace mcu::kernels
