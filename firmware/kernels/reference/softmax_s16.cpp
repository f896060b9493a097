#include "mcu/kernels/softmax_s16.h"

#include "mcu/kernels/powers_s16.h"

namespace mcu::kernels {

void softmax_s16(const SoftmaxS16Params& params, const int16_t* input, const int32_t* table,
                 int16_t* output) {
    const powers::Powers power(table, params.multiplier, params.shift);
    for (int32_t o = 0; o < params.outer; ++o) {
        for (int32_t i = 0; i < params.inner; ++i) {
            const int32_t at = o * params.axis * params.inner + i;
            powers::shares(params.axis, params.inner, input + at, nullptr, power, output + at);
        }
    }
}

void masked_softmax_s16(const MaskedSoftmaxS16Params& params, const int16_t* input, const void* mask,
                        const int32_t* table, int16_t* output) {
    const powers::Powers power(table, params.multiplier, params.shift);
    const auto* const flags = static_cast<const uint8_t*>(mask);
    for (int32_t b = 0; b < params.batches; ++b) {
        for (int32_t r = 0; r < params.rows; ++r) {
            const int32_t at = b * params.mask_batch_stride + r * params.mask_row_stride;
            powers::shares(params.columns, 1, input, flags + at, power, output);
            input += params.columns;
            output += params.columns;
        }
    }
}

}  // namespace mcu::kernels
