// Int4 weights with SMLAD: a word holds four weights of either half of a block. SXTB16 widens bytes 0 and 2,
// and 1 and 3, of weights and activations alike: eight multiply-accumulates of one output in 12 instructions,
// and six for activations that outputs share.

#include "mcu/kernels/linear_w4.h"

#include <arm_acle.h>

#include "mcu/kernels/tiles_w4.h"
#include "words.h"

namespace mcu::kernels {
namespace {

struct DspW4 {
    static constexpr int kRows = 2;
    static constexpr int kOutputs = 2;
    static constexpr int kGroupedOutputs = 2;
    template <int O>
    using Last = tiles_w4::Last<O>;

    template <int R, int O>
    static inline __attribute__((always_inline)) void block(const int8_t* const (&x)[R],
                                                            const uint8_t* const (&w)[O],
                                                            int32_t (&sums)[R][O]) {
#pragma GCC unroll 1
        for (int32_t at = 0; at < kBlockW4 / 2; at += 4) {
            uint32_t pairs[O];
#pragma GCC unroll 2
            for (int o = 0; o < O; ++o) {
                pairs[o] = static_cast<uint32_t>(dsp::load_word(w[o] + at));
            }
            half<R, O>(x, at, pairs, 4, sums);
            half<R, O>(x, at + kBlockW4 / 2, pairs, 0, sums);
        }
    }

    template <int R, int O>
    static inline __attribute__((always_inline)) void rest(const int8_t* const (&x)[R],
                                                           const uint8_t* const (&w)[O], int32_t count,
                                                           int32_t (&sums)[R][O]) {
        tiles_w4::rest(x, w, count, sums);
    }

private:
    // The weights that are in the high halves of bytes once they are moved by `shift`.
    template <int R, int O>
    static inline __attribute__((always_inline)) void half(const int8_t* const (&x)[R], int32_t at,
                                                           const uint32_t (&pairs)[O], int shift,
                                                           int32_t (&sums)[R][O]) {
        int32_t even[R];
        int32_t odd[R];
#pragma GCC unroll 2
        for (int r = 0; r < R; ++r) {
            const int32_t word = dsp::load_word(x[r] + at);
            even[r] = dsp::even_bytes(word);
            odd[r] = dsp::odd_bytes(word);
        }
#pragma GCC unroll 2
        for (int o = 0; o < O; ++o) {
            const auto taps = static_cast<int32_t>((pairs[o] << shift) & 0xF0F0F0F0u);
            const int32_t first = dsp::even_bytes(taps);
            const int32_t second = dsp::odd_bytes(taps);
#pragma GCC unroll 2
            for (int r = 0; r < R; ++r) {
                sums[r][o] = __smlad(even[r], first, sums[r][o]);
                sums[r][o] = __smlad(odd[r], second, sums[r][o]);
            }
        }
    }
};

}  // namespace

MCU_TILES_W4(DspW4)

}  // namespace mcu::kernels
