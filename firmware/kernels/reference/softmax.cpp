#include "mcu/kernels/softmax.h"

#include "mcu/kernels/requantize.h"

namespace mcu::kernels {
namespace {

// How far to shift `sum`, and parts of it, to leave 24 bits of it at most.
int32_t excess_bits(uint64_t sum) {
    int32_t bits = 0;
    for (; sum >= 1u << 24; sum >>= 1) {
        ++bits;
    }
    return bits;
}

// round_half_even(256 * part / sum); part <= sum. The leading bits give the quotient or one beside it: a
// 64-bit division from a library takes 750 bytes of flash.
int32_t share(uint64_t part, uint64_t sum, int32_t excess) {
    const uint32_t leading = static_cast<uint32_t>(part >> excess) << 8;
    auto quotient = static_cast<int32_t>(leading / static_cast<uint32_t>(sum >> excess));
    const auto whole = static_cast<int64_t>(sum);
    int64_t rest = static_cast<int64_t>(part << 8) - quotient * whole;
    if (rest < 0) {
        --quotient;
        rest += whole;
    } else if (rest >= whole) {
        ++quotient;
        rest -= whole;
    }
    const bool up = 2 * rest > whole || (2 * rest == whole && quotient % 2 != 0);
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
    const int32_t excess = excess_bits(sum);
    for (int32_t i = 0; i < params.axis; ++i) {
        const auto part = static_cast<uint32_t>(table[highest - input[i * stride]]);
        output[i * stride] =
            static_cast<int8_t>(clamp(share(part, sum, excess) + params.zero_point, -128, 127));
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
