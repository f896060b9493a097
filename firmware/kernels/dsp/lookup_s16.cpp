// Two neighbouring entries are a word of which SMLAD makes entry * (2^bits - f) + next * f, which is the
// entry and its part of the rise, 2^bits times.

#include "mcu/kernels/lookup_s16.h"

#include <arm_acle.h>

#include "words.h"

namespace mcu::kernels {

void lookup_s16(const LookupS16Params& params, const int16_t* input, const int16_t* table, int16_t* output) {
    const int32_t bits = params.bits;
    const int32_t one = 1 << bits;
    const int32_t half = one >> 1;
    for (int32_t left = params.count; left > 0; --left) {
        const int32_t place = *input++ + 32768;
        const int32_t part = place & (one - 1);
        const int32_t shares = one + part * 0xFFFF;  // part in the upper half, one - part in the lower
        *output++ =
            static_cast<int16_t>(__smlad(dsp::load_word(table + (place >> bits)), shares, half) >> bits);
    }
}

}  // namespace mcu::kernels
