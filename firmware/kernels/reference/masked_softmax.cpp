#include "mcu/kernels/masked_softmax.h"

#include "mcu/kernels/requantize.h"
#include "mcu/kernels/softmax_share.h"

namespace mcu::kernels {
namespace {

void masked_row(const MaskedSoftmaxParams& params, const int8_t* input, const uint8_t* mask,
                const int32_t* table, int8_t* output) {
    const int32_t columns = params.columns;
    int32_t highest = -128;
    for (int32_t i = 0; i < columns; ++i) {
        highest = mask[i] != 0 && input[i] > highest ? input[i] : highest;
    }
    uint64_t sum = 0;
    for (int32_t i = 0; i < columns; ++i) {
        sum += mask[i] != 0 ? static_cast<uint32_t>(table[highest - input[i]]) : 0;
    }
    const int32_t excess = excess_bits(sum);
    for (int32_t i = 0; i < columns; ++i) {
        int32_t share = 0;
        if (mask[i] != 0) {
            const uint64_t part = static_cast<uint32_t>(table[highest - input[i]]);
            share = softmax_share(part << params.octaves, sum, excess);
        }
        output[i] = static_cast<int8_t>(clamp(share - 128, -128, 127));
    }
}

}  // namespace

void masked_softmax_s8(const MaskedSoftmaxParams& params, const int8_t* input, const void* mask,
                       const int32_t* table, int8_t* output) {
    const auto* const flags = static_cast<const uint8_t*>(mask);
    for (int32_t b = 0; b < params.batches; ++b) {
        for (int32_t r = 0; r < params.rows; ++r) {
            const int32_t at = b * params.mask_batch_stride + r * params.mask_row_stride;
            masked_row(params, input, flags + at, table, output);
            input += params.columns;
            output += params.columns;
        }
    }
}

void log_softmax_s8(const LogSoftmaxParams& params, const int8_t* input, const int32_t* table,
                    int8_t* output) {
    const int64_t half = int64_t{1} << (params.shift - 1);
    for (int32_t r = 0; r < params.rows; ++r) {
        int32_t highest = -128;
        for (int32_t i = 0; i < params.columns; ++i) {
            highest = input[i] > highest ? input[i] : highest;
        }
        uint64_t sum = 0;
        for (int32_t i = 0; i < params.columns; ++i) {
            sum += static_cast<uint32_t>(table[highest - input[i]]);
        }
        const int64_t start = log2_of(sum) * params.octave + half;
        for (int32_t i = 0; i < params.columns; ++i) {
            const int64_t below = start + static_cast<int64_t>(highest - *input++) * params.step;
            const int64_t moved = params.output_zero_point - (below >> params.shift);
            *output++ = static_cast<int8_t>(moved < -128 ? -128 : (moved > 127 ? 127 : moved));
        }
    }
}

}  // namespace mcu::kernels
