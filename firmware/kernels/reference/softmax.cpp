#include "mcu/kernels/softmax.h"

#include "mcu/kernels/requantize.h"
#include "mcu/kernels/softmax_share.h"

namespace mcu::kernels {
namespace {

void softmax_line(const SoftmaxParams& params, const int8_t* input, const int32_t* table, int8_t* output) {
    const int32_t stride = params.inner;
    int32_t highest = -128;
    for (int32_t i = 0; i < params.axis; ++i) {
        highest = input[i * stride] > highest ? input[i * stride] : highest;
    }
    uint64_t sum = 0;
    for (int32_t i = 0; i < params.axis; ++i) {
        sum += static_cast<uint32_t>(table[highest - input[i * stride]]);
    }
    const int32_t excess = excess_bits(sum);
    for (int32_t i = 0; i < params.axis; ++i) {
        const uint64_t part = static_cast<uint32_t>(table[highest - input[i * stride]]);
        const int32_t share = softmax_share(part << params.octaves, sum, excess);
        output[i * stride] = static_cast<int8_t>(clamp(share + params.zero_point, -128, 127));
    }
}

}  // namespace

void softmax_s8(const SoftmaxParams& params, const int8_t* input, const int32_t* table, int8_t* output) {
    for (int32_t o = 0; o < params.outer; ++o) {
        for (int32_t i = 0; i < params.inner; ++i) {
            const int32_t start = o * params.axis * params.inner + i;
            softmax_line(params, input + start, table, output + start);
        }
    }
}

}  // namespace mcu::kernels
