// Surround a tensor with a constant.
//
//   output[i0][i1][i2][i3] = input[i0 - before[0]]...[i3 - before[3]] where that is inside, else value
//
// `shape` is the output's, dense, outermost dimension first; `inside` and `strides` (in elements) are the
// input's sizes along these dimensions; unused leading dimensions have shape 1. A negative `before` crops.
// Exact: bits are copied; `value` holds the bits of an element in its low end.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct PadParams {
    int32_t shape[4];
    int32_t inside[4];
    int32_t strides[4];
    int32_t before[4];
    int32_t value;
};

void pad_x8(const PadParams& params, const void* input, void* output);
void pad_x16(const PadParams& params, const void* input, void* output);
void pad_x32(const PadParams& params, const void* input, void* output);

}  // namespace mcu::kernels
