#include "mcu/kernels/thumb2_linear.h"

#include <cstring>

#include "../thumb/rescale.h"

namespace mcu::kernels {
namespace {

using thumb::Form;

// Inputs after which sums are taken apart: 128 * 128 * 504 < 2^23.
constexpr int32_t kChunk = 504;
constexpr int32_t kMostChunks = 16;
constexpr int32_t kTogether = 8;
constexpr int32_t kPairBytes = 8;  // the weights of four outputs for two inputs
constexpr uint32_t kMask = 0xFF0000FF;

// Sums of four outputs.
struct Sums {
    int32_t of[4];
};

// The sums of the inputs, of each chunk.
struct Totals {
    int32_t of[kMostChunks];
};

// Two inputs of four outputs: 11 instructions for 8 products. The first's weights are bytes 0 and, signed, 3
// of a word; the second's those between.
#define THUMB_MAC(sums, word) "and %[t], %[mask], " word "\nsmlal " sums ", %[t], r2\n"
#define THUMB_PAIR                                                                                  \
    "ldrd r0, r1, [%[w]], #8\n"                                                                     \
    "ldrsb r2, [%[x]], #1\n" THUMB_MAC("%Q[ab], %R[ab]", "r0") THUMB_MAC(                           \
        "%Q[cd], %R[cd]", "r1") "ldrsb r2, [%[x]], #1\n" THUMB_MAC("%Q[ab], %R[ab]", "r0, ror #16") \
        THUMB_MAC("%Q[cd], %R[cd]", "r1, ror #16")

inline int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}

// The weights of two outputs for one input.
inline int32_t weights_of(const int8_t* pair, bool second) {
    uint32_t word;
    std::memcpy(&word, pair, sizeof word);
    return static_cast<int32_t>((second ? word << 16 | word >> 16 : word) & kMask);
}

// Adds the sums of two outputs, of which `both` has 128 times the sum of the inputs too much.
inline void take_apart(int64_t both, int32_t total, int32_t* sums) {
    both -= int64_t{128} * total;
    const int32_t low = static_cast<int32_t>(static_cast<uint32_t>(both) << 8) >> 8;
    sums[0] += static_cast<int32_t>((both - low) >> 24);
    sums[1] += low;
}

__attribute__((noinline)) Sums four_sums(const int8_t* x, int32_t inputs, const Totals& totals,
                                         const int8_t*& w) {
    Sums found = {};
    for (const int32_t* total = totals.of; inputs > 0; inputs -= kChunk, ++total) {
        const int32_t count = smaller(inputs, kChunk);
        int64_t ab = 0;
        int64_t cd = 0;
        if (count >= kTogether) {
            int32_t t;
            __asm__ volatile("1:\n" THUMB_PAIR THUMB_PAIR THUMB_PAIR THUMB_PAIR "cmp %[x], %[end]\nbne 1b\n"
                             : [ab] "+&r"(ab), [cd] "+&r"(cd), [x] "+&r"(x), [w] "+&r"(w), [t] "=&r"(t)
                             : [mask] "r"(kMask), [end] "r"(x + (count & ~(kTogether - 1)))
                             : "r0", "r1", "r2", "cc", "memory");
        }
        // Nothing behind the row is read.
#pragma GCC unroll 1
        for (int32_t i = 0; i < count % kTogether; ++i) {
            const bool second = i % 2 != 0;
            const int32_t input = *x++;
            ab += static_cast<int64_t>(weights_of(w, second)) * input;
            cd += static_cast<int64_t>(weights_of(w + 4, second)) * input;
            w += second ? kPairBytes : 0;
        }
        w += count % 2 != 0 ? kPairBytes : 0;
        take_apart(ab, *total, &found.of[0]);
        take_apart(cd, *total, &found.of[2]);
    }
    return found;
}

template <Form kForm>
inline void row_of(const Thumb2LinearParams& params, const int8_t* input, const int32_t* packed,
                   int8_t* output) {
    const DspBounds bounds = params.bounds;
    Totals totals;
    for (int32_t i = 0; i < params.inputs; i += kChunk) {
        int32_t total = 0;
#pragma GCC unroll 1
        for (int32_t at = i, end = smaller(i + kChunk, params.inputs); at < end; ++at) {
            total += input[at];
        }
        totals.of[i / kChunk] = total;
    }
    const auto* weights = reinterpret_cast<const int8_t*>(packed);
    for (int32_t left = params.outputs; left > 0; left -= 4) {
        const Sums sums = four_sums(input, params.inputs, totals, weights);
        const auto* scale = reinterpret_cast<const DspScale*>(weights);
#pragma GCC unroll 1
        for (int32_t i = 0, end = smaller(4, left); i < end; ++i, ++scale) {
            *output++ = thumb::rescale<kForm>(sums.of[i], *scale, bounds);
        }
        weights += 4 * sizeof(DspScale);
    }
}

template <Form kForm>
inline void linear(const Thumb2LinearParams& params, const int8_t* input, const int32_t* packed,
                   int8_t* output) {
    for (int32_t row = params.rows; row > 0; --row) {
        row_of<kForm>(params, input, packed, output);
        input += params.inputs;
        output += params.outputs;
    }
}

}  // namespace

#define MCU_THUMB2_LINEAR(form, kForm)                                                                      \
    void thumb2_linear_##form(const Thumb2LinearParams& params, const int8_t* input, const int32_t* packed, \
                              int8_t* output) {                                                             \
        linear<kForm>(params, input, packed, output);                                                       \
    }

MCU_THUMB2_LINEAR(relu, Form::kRelu)
MCU_THUMB2_LINEAR(ties, Form::kTies)
MCU_THUMB2_LINEAR(bounded, Form::kBounded)

}  // namespace mcu::kernels
