#include "mcu/kernels/softmax.h"

#include "mcu/kernels/requantize.h"

namespace mcu::kernels {
namespace {

// round_half_even(256 * part / sum); part <= sum. Divided bit by bit: a 64-bit division from a library takes
// 750 bytes of flash.
int32_t share(uint64_t part, uint64_t sum) {
    int32_t quotient = 0;
    for (int32_t bit = 8; bit >= 0; --bit) {
        quotient *= 2;
        if (part >= sum) {
            part -= sum;
            ++quotient;
        }
        part *= 2;
    }
    const bool up = part > sum || (part == sum && quotient % 2 != 0);
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
