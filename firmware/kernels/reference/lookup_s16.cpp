#include "mcu/kernels/lookup_s16.h"

namespace mcu::kernels {

void lookup_s16(const LookupS16Params& params, const int16_t* input, const int16_t* table, int16_t* output) {
    const int32_t half = 1 << (params.bits - 1);
    const int32_t mask = (1 << params.bits) - 1;
    for (int32_t i = 0; i < params.count; ++i) {
        const int32_t place = input[i] + 32768;
        const int16_t* const entry = table + (place >> params.bits);
        const int32_t rise = (entry[1] - entry[0]) * (place & mask);
        // Between two entries: nothing to saturate.
        output[i] = static_cast<int16_t>(entry[0] + ((rise + half) >> params.bits));
    }
}

}  // namespace mcu::kernels
