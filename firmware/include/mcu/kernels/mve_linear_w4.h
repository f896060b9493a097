// linear_w4.h on Helium, eight outputs of a row at once. Exact, equal to it.
//
// A byte has the weights of two outputs of an input: 16 * (output 2n) + (output 2n + 1), which has to be -128
// or more. The packed constant is [outputs / 8] of
//
//   where is_grouped   [inputs / 32] of weights [2][4 pairs][16 inputs] and factors [outputs 0, 2, 4, 6, 1,
//   3, 5, 7] else               weights [inputs / 16][4 pairs][16 inputs]
//
// and then bias, multipliers and 32 - shifts, each int32[8] of outputs 0, 2, 4, 6, 1, 3, 5, 7. Zero for
// absent outputs and inputs. 17 instructions for 128 products, and 18 for those of a group of eight outputs.

#pragma once

#include <cstdint>

namespace mcu::kernels {

// The kernel loads it by its order.
struct MveLinearW4Row {
    int32_t inputs;
    int32_t outputs;
    int32_t zero_point;
    int32_t low;
    int32_t high;
};

struct MveLinearW4Params {
    int32_t rows;
    bool is_grouped;
    MveLinearW4Row row;
};

void mve_linear_w4(const MveLinearW4Params& params, const int8_t* input, const int8_t* weights,
                   int8_t* output);

}  // namespace mcu::kernels
