#include "mcu/kernels/softmax.h"

#include "mcu/kernels/requantize.h"

namespace mcu::kernels {
namespace {

// round_half_even(256 * part / sum); part <= sum.
int32_t share(uint32_t part, uint64_t sum) {
    const uint64_t scaled = uint64_t{part} << 8;
    const auto quotient = static_cast<int32_t>(scaled / sum);
    const uint64_t twice = 2 * (scaled % sum);
    const bool up = twice > sum || (twice == sum && quotient % 2 != 0);
    return quotient + (up ? 1 : 0);
}

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
    for (int32_t i = 0; i < params.axis; ++i) {
        const auto part = static_cast<uint32_t>(table[highest - input[i * stride]]);
        output[i * stride] = static_cast<int8_t>(clamp(share(part, sum) + params.zero_point, -128, 127));
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
