#include "mcu/kernels/lookup.h"

namespace mcu::kernels {

// Loads before stores, which make the loads behind them wait: 16 instructions for four elements, 18 cycles of
// a Cortex-M4 and 25 in their order.
void lookup_s8(const LookupParams& params, const int8_t* input, const int8_t* table, int8_t* output) {
    const int8_t* const middle = table + 128;
    int32_t left = params.count;
#pragma GCC unroll 1
    for (; left >= 4; left -= 4, input += 4, output += 4) {
        const int8_t a = middle[input[0]];
        const int8_t b = middle[input[1]];
        const int8_t c = middle[input[2]];
        const int8_t d = middle[input[3]];
        output[0] = a;
        output[1] = b;
        output[2] = c;
        output[3] = d;
    }
#pragma GCC unroll 1
    for (; left > 0; --left) {
        *output++ = middle[*input++];
    }
}

}  // namespace mcu::kernels
