#include "mcu/kernels/lookup.h"

namespace mcu::kernels {

void lookup_s8(const LookupParams& params, const int8_t* input, const int8_t* table, int8_t* output) {
    const int8_t* const middle = table + 128;
    int32_t left = params.count;
    for (; left >= 4; left -= 4, input += 4, output += 4) {
        output[0] = middle[input[0]];
        output[1] = middle[input[1]];
        output[2] = middle[input[2]];
        output[3] = middle[input[3]];
    }
#pragma GCC unroll 1
    for (; left > 0; --left) {
        *output++ = middle[*input++];
    }
}

}  // namespace mcu::kernels
