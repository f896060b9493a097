#include "mcu/kernels/softmax_s16.h"

#include "mcu/kernels/softmax_share.h"

namespace mcu::kernels {
namespace {

constexpr int32_t kOctaveBits = 16;
constexpr int32_t kStepBits = 8;  // between two entries of the table
constexpr int32_t kInverseBits = 61;
constexpr int32_t kShareBits = 15;

// 2^-octaves of what lies `below` the largest value, in units of 2^-30.
int64_t power(int32_t below, const int32_t* table, int32_t multiplier, int32_t shift) {
    const int64_t octaves = rounded(below, multiplier, shift);
    const int64_t whole = octaves >> kOctaveBits;
    const auto fraction = static_cast<int32_t>(octaves & ((1 << kOctaveBits) - 1));
    const int32_t* const entry = table + (fraction >> kStepBits);
    const int64_t fall = static_cast<int64_t>(entry[1] - entry[0]) * (fraction & ((1 << kStepBits) - 1));
    return rounded_shift(entry[0] + rounded_shift(fall, kStepBits),
                         static_cast<int32_t>(whole < 62 ? whole : 62));
}

// One row: `mask` is null where everything counts.
void shares(int32_t count, int32_t stride, const int16_t* input, const uint8_t* mask, const int32_t* table,
            int32_t multiplier, int32_t shift, int16_t* output) {
    int32_t highest = -32768;
    for (int32_t i = 0; i < count; ++i) {
        if ((mask == nullptr || mask[i] != 0) && input[i * stride] > highest) {
            highest = input[i * stride];
        }
    }
    int64_t sum = 0;
    for (int32_t i = 0; i < count; ++i) {
        if (mask == nullptr || mask[i] != 0) {
            sum += power(highest - input[i * stride], table, multiplier, shift);
        }
    }
    const int64_t inverse = (int64_t{1} << kInverseBits) / (sum > 0 ? sum : 1);
    for (int32_t i = 0; i < count; ++i) {
        int64_t share = 0;
        if (mask == nullptr || mask[i] != 0) {
            share = power(highest - input[i * stride], table, multiplier, shift) * inverse;
        }
        output[i * stride] = saturated_s16(rounded_shift(share, kInverseBits - kShareBits));
    }
}

}  // namespace

void softmax_s16(const SoftmaxS16Params& params, const int16_t* input, const int32_t* table,
                 int16_t* output) {
    for (int32_t o = 0; o < params.outer; ++o) {
        for (int32_t i = 0; i < params.inner; ++i) {
            const int32_t at = o * params.axis * params.inner + i;
            shares(params.axis, params.inner, input + at, nullptr, table, params.multiplier, params.shift,
                   output + at);
        }
    }
}

void masked_softmax_s16(const MaskedSoftmaxS16Params& params, const int16_t* input, const void* mask,
                        const int32_t* table, int16_t* output) {
    const auto* const flags = static_cast<const uint8_t*>(mask);
    for (int32_t b = 0; b < params.batches; ++b) {
        for (int32_t r = 0; r < params.rows; ++r) {
            const int32_t at = b * params.mask_batch_stride + r * params.mask_row_stride;
            shares(params.columns, 1, input, flags + at, table, params.multiplier, params.shift, output);
            input += params.columns;
            output += params.columns;
        }
    }
}

void log_softmax_s16(const LogSoftmaxS16Params& params, const int16_t* input, const int32_t* table,
                     int16_t* output) {
    for (int32_t r = 0; r < params.rows; ++r) {
        int32_t highest = -32768;
        for (int32_t i = 0; i < params.columns; ++i) {
            highest = input[i] > highest ? input[i] : highest;
        }
        int64_t sum = 0;
        for (int32_t i = 0; i < params.columns; ++i) {
            sum += power(highest - input[i], table, params.multiplier, params.shift);
        }
        const int64_t start = log2_of(static_cast<uint64_t>(sum) << 1) * params.octave;
        for (int32_t i = 0; i < params.columns; ++i) {
            const int64_t below = start + static_cast<int64_t>(highest - *input++) * params.step;
            *output++ = saturated_s16(-rounded_shift(below, params.output_shift));
        }
    }
}

}  // namespace mcu::kernels
