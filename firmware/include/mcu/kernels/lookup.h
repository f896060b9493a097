// Any function of one int8 value, by table.
//
//   output[i] = table[input[i] + 128]
//
// Exact. Inner loop: two loads and a store an element, four elements a turn. An element is written after that
// of its number was read. Source: cortex_m::quantized_activation.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct LookupParams {
    int32_t count;
};

void lookup_s8(const LookupParams& params, const int8_t* input, const int8_t* table, int8_t* output);

}  // namespace mcu::kernels
