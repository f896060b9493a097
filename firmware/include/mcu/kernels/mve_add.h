// Sum of two int8 tensors on Helium, clamped to int8 alone: of operands of one shape in one order, or (lines)
// that broadcast, innermost lines of which are dense or one value, not both of them one value.
//
//   output = saturate(int8, (first * first_factor + second * second_factor + addend) * 2^left >> 24)
//
// The specializer (kernels/helium/elementwise.py) looks for factors with which this equals add.h for all
// 65,536 pairs of values, and leaves the step alone where there are none. Exact; the sum stays below 2^31. An
// element is written after it was read. 29 instructions for 16 elements.

#pragma once

#include <cstdint>

#include "mcu/kernels/broadcast.h"

namespace mcu::kernels {

struct MveAddParams {
    int32_t count;
    int32_t first_factor;
    int32_t second_factor;
    int32_t addend;
    int32_t left;
};

struct MveAddLinesParams {
    Broadcast space;
    MveAddParams line;
};

void mve_add_s8(const MveAddParams& params, const int8_t* first, const int8_t* second, int8_t* output);
void mve_add_lines_s8(const MveAddLinesParams& params, const int8_t* first, const int8_t* second,
                      int8_t* output);

}  // namespace mcu::kernels
