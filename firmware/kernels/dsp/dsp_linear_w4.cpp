// A word of weights, shifted and masked by one AND, is two of them in the high bits of halfwords: 4096 times
// their values, as SMLAD takes them. SXTB16 widens the activations alike, once for four outputs.

#include "mcu/kernels/dsp_linear_w4.h"

#include <cstring>

#include "words.h"

namespace mcu::kernels {
namespace {

constexpr int32_t kOutputs = 4;
constexpr int32_t kInputs = 8;  // of a word
constexpr uint32_t kMask = 0xF000F000u;

// Products of eight inputs with the next word of weights. Assembly, as compilers take the words of all
// outputs apart before they need them, and run out of registers.
#define DSP_WORD(sum)                                                                       \
    "ldr %[word], [%[w]], #4\n and %[taps], %[mask], %[word], lsl #12\n smlad %[" #sum      \
    "], %[a], %[taps], %[" #sum "]\n and %[taps], %[mask], %[word], lsl #8\n smlad %[" #sum \
    "], %[b], %[taps], %[" #sum "]\n and %[taps], %[mask], %[word], lsl #4\n smlad %[" #sum \
    "], %[c], %[taps], %[" #sum "]\n and %[word], %[mask], %[word]\n smlad %[" #sum         \
    "], %[d], %[word], %[" #sum "]\n"

// Eight inputs as SMLAD takes them.
struct Widened {
    int32_t a, b, c, d;
};

// The next words of two outputs. Those of four would leave GCC's -Os no register for a loop of LE.
inline __attribute__((always_inline)) void add_two(const Widened& x, const int32_t*& w, int32_t& first,
                                                   int32_t& second) {
    int32_t word, taps;
    __asm__ volatile(
        DSP_WORD(s0) DSP_WORD(s1)
        : [s0] "+r"(first), [s1] "+r"(second), [w] "+r"(w), [word] "=&r"(word), [taps] "=&r"(taps)
        : [mask] "r"(kMask), [a] "r"(x.a), [b] "r"(x.b), [c] "r"(x.c), [d] "r"(x.d)
        : "memory");
}

// Adds 4096 times the products of as many words of weights for each output.
inline __attribute__((always_inline)) void add(const int8_t* x, const int32_t*& w, int32_t words,
                                               int32_t (&parts)[kOutputs]) {
#pragma GCC unroll 1
    for (const int8_t* const end = x + kInputs * words; x != end; x += kInputs) {
        const int32_t first = dsp::load_word(x);
        const int32_t second = dsp::load_word(x + 4);
        const Widened widened = {dsp::even_bytes(first), dsp::odd_bytes(first), dsp::even_bytes(second),
                                 dsp::odd_bytes(second)};
        add_two(widened, w, parts[0], parts[1]);
        add_two(widened, w, parts[2], parts[3]);
    }
}
#undef DSP_WORD

template <bool kGrouped>
void linear(const LinearW4Params& params, const int8_t* input, const int32_t* w, const uint8_t* factors,
            const int32_t* bias, const int32_t* multipliers, const int32_t* shifts, int8_t* output) {
    const int32_t blocks = params.inputs / kBlockW4;
    const int32_t rest = params.inputs % kBlockW4;
    const int32_t last_words = (rest + kInputs - 1) / kInputs;
    int8_t last[kBlockW4] = {};
    std::memcpy(last, input + blocks * kBlockW4, static_cast<size_t>(rest));
    for (int32_t o = 0; o < params.outputs; o += kOutputs) {
        int32_t sums[kOutputs] = {};
        const int8_t* x = input;
        for (int32_t b = 0; b < blocks; ++b, x += kBlockW4) {
            int32_t parts[kOutputs] = {};
            add(x, w, kBlockW4 / kInputs, parts);
#pragma GCC unroll 4
            for (int k = 0; k < kOutputs; ++k) {
                sums[k] += kGrouped ? (parts[k] >> 12) * factors[k] : parts[k] >> 8;
            }
            factors += kGrouped ? kOutputs : 0;
        }
        if constexpr (!kGrouped) {
            int32_t parts[kOutputs] = {};
            add(last, w, last_words, parts);
#pragma GCC unroll 4
            for (int k = 0; k < kOutputs; ++k) {
                sums[k] += parts[k] >> 8;
            }
        }
#pragma GCC unroll 4
        for (int k = 0; k < kOutputs; ++k) {
            if (o + k < params.outputs) {
                output[o + k] = to_int8_w4(bias[o + k] + sums[k], multipliers[o + k], shifts[o + k], params);
            }
        }
    }
}

}  // namespace

void dsp_linear_w4(const LinearW4Params& params, const int8_t* input, const int32_t* weights,
                   const uint8_t* factors, const int32_t* bias, const int32_t* multipliers,
                   const int32_t* shifts, int8_t* output) {
    const auto kernel = params.is_grouped ? linear<true> : linear<false>;
    for (int32_t row = 0; row < params.rows; ++row) {
        kernel(params, input, weights, factors, bias, multipliers, shifts, output);
        input += params.inputs;
        output += params.outputs;
    }
}

}  // namespace mcu::kernels
