#include "mcu/kernels/dsp_softmax.h"

#include "mcu/kernels/softmax_share.h"
#include "requantize.h"

namespace mcu::kernels {
namespace {

constexpr uint32_t kNear = 8;
// Bits behind the point of a product's upper word, which a share has eight of before it.
constexpr int32_t kPoint = 23;
constexpr int32_t kLeastPoint = 8;

inline uint32_t high(uint32_t a, uint32_t b) {
    return static_cast<uint32_t>(uint64_t{a} * b >> 32);
}

// 2^63 / leading, of a number from 2^31 on: 15 bits by division, 29 by a step of Newton's. It stays below
// 2^32 for 2^31 itself, too.
inline uint32_t reciprocal(uint32_t leading) {
    const uint32_t rough = (0xFFFFFFFF / (leading >> 16)) << 15;
    const auto missing = static_cast<int32_t>((1u << 31) - high(rough, leading));
    return rough + static_cast<uint32_t>(int64_t{rough} * missing >> 31);
}

[[gnu::noinline]] int32_t exact_share(uint64_t part, uint64_t sum) {
    return softmax_share(part, sum, excess_bits(sum));
}

// Functions of their own, so that each loop has its values in registers.
[[gnu::noinline]] int32_t highest_of(const int8_t* input, int32_t count) {
    int32_t highest = -128;
#pragma GCC unroll 4
    for (int32_t i = 0; i < count; ++i) {
        highest = input[i] > highest ? input[i] : highest;
    }
    return highest;
}

// `first` is the highest's entry in the table.
[[gnu::noinline]] uint64_t sum_of(const int8_t* input, int32_t count, const uint32_t* first) {
    uint64_t sum = 0;
#pragma GCC unroll 4
    for (int32_t i = 0; i < count; ++i) {
        sum += first[-input[i]];
    }
    return sum;
}

struct Shares {
    uint64_t sum;
    uint32_t factor;
    int32_t shift;
    int32_t octaves;
    int32_t zero_point;
};

// Where `kFits` is false, no share is told by the product.
template <bool kFits>
[[gnu::noinline]] void write_shares(const Shares& given, const int8_t* input, int32_t count,
                                    const uint32_t* first, int8_t* output) {
    const Shares shares = given;  // which stores of int8 cannot change
    const uint32_t half = 1u << (shares.shift - 1);
    const uint32_t fraction = 2 * half - 1;
#pragma GCC unroll 1
    for (int32_t i = 0; i < count; ++i) {
        const uint32_t part = first[-input[i]];
        const uint32_t rounded = high(part, shares.factor) + half;
        auto share = static_cast<int32_t>(rounded >> shares.shift);
        if (!kFits || ((rounded + kNear) & fraction) < 2 * kNear) [[unlikely]] {
            share = exact_share(uint64_t{part} << shares.octaves, shares.sum);
        }
        output[i] = static_cast<int8_t>(dsp::saturate(share + shares.zero_point));
    }
}

void softmax_line(const SoftmaxParams& params, const int8_t* input, const uint32_t* table, int8_t* output) {
    const int32_t count = params.axis;
    const uint32_t* const first = table + highest_of(input, count);
    const uint64_t sum = sum_of(input, count, first);
    const int32_t excess = 32 - __builtin_clzll(sum);  // the highest's part alone has 32 bits
    const int32_t shift = kPoint + excess - params.octaves;
    const bool fits = kLeastPoint <= shift && shift < 32;
    const Shares shares = {sum, reciprocal(static_cast<uint32_t>(sum >> excess)), fits ? shift : 1,
                           params.octaves, params.zero_point};
    if (fits) {
        write_shares<true>(shares, input, count, first, output);
    } else {
        write_shares<false>(shares, input, count, first, output);
    }
}

}  // namespace

void dsp_softmax_s8(const SoftmaxParams& params, const int8_t* input, const int32_t* table, int8_t* output) {
    const auto* const parts = reinterpret_cast<const uint32_t*>(table);
    for (int32_t o = 0; o < params.outer; ++o) {
        softmax_line(params, input, parts, output);
        input += params.axis;
        output += params.axis;
    }
}

}  // namespace mcu::kernels
