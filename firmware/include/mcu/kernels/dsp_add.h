// Sum of two int8 tensors, clamped to int8 alone: of operands of one shape in one order, or (lines) that
// broadcast, innermost lines of which are dense or one value, not both of them one value.
//
//   output = saturate(int8, (first * first_factor + second * second_factor + addend) >> point)
//
// The specializer finds factors of 24 bits with which this equals add.h for all 65,536 pairs of values, and
// leaves the step alone where there are none. Exact; the sum stays below 2^31. An element is written after
// those of its number, and of the three behind it, were read. 24 instructions for four elements.

#pragma once

#include <cstdint>

#include "mcu/kernels/broadcast.h"

namespace mcu::kernels {

struct DspAddParams {
    int32_t count;
    int32_t first_factor;
    int32_t second_factor;
    int32_t addend;
};

struct DspAddLinesParams {
    Broadcast space;
    DspAddParams line;
};

// point = 21
void dsp_add_21_s8(const DspAddParams& params, const int8_t* first, const int8_t* second, int8_t* output);
void dsp_add_lines_21_s8(const DspAddLinesParams& params, const int8_t* first, const int8_t* second,
                         int8_t* output);

// point = 22
void dsp_add_22_s8(const DspAddParams& params, const int8_t* first, const int8_t* second, int8_t* output);
void dsp_add_lines_22_s8(const DspAddLinesParams& params, const int8_t* first, const int8_t* second,
                         int8_t* output);

}  // namespace mcu::kernels
