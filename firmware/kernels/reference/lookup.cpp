#include "mcu/kernels/lookup.h"

namespace mcu::kernels {

void lookup_s8(const LookupParams& params, const int8_t* input, const int8_t* table, int8_t* output) {
    for (int32_t i = 0; i < params.count; ++i) {
        output[i] = table[input[i] + 128];
    }
}

}  // namespace mcu::kernels
