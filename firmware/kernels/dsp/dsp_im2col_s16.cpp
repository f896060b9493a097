#include "mcu/kernels/dsp_im2col_s16.h"

#include <arm_acle.h>

#include "mcu/kernels/im2col_s16.h"
#include "words.h"

namespace mcu::kernels {
namespace {

using dsp::even_bytes;
using dsp::load_word;
using dsp::odd_bytes;

struct Core {
    // Sums of two outputs over R rows; `packed` moves on.
    template <int R>
    static inline __attribute__((always_inline)) void two(const int16_t* const (&rows)[2], int32_t depth,
                                                          const int32_t*& packed, int32_t (&sums)[R][2]) {
        const int16_t* x = rows[0];
        const int16_t* y = rows[R - 1];
        const int32_t* w = packed;
        const int16_t* const end = x + depth;
        while (x != end) {
            const int32_t a = load_word(x);
            const int32_t b = load_word(x + 2);
            const int32_t c = R == 2 ? load_word(y) : 0;
            const int32_t d = R == 2 ? load_word(y + 2) : 0;
            x += 4;
            y += 4;
#pragma GCC unroll 2
            for (int o = 0; o < 2; ++o) {
                const int32_t taps = w[o];
                const int32_t first = even_bytes(taps);
                const int32_t second = odd_bytes(taps);
                sums[0][o] = __smlad(a, first, sums[0][o]);
                sums[0][o] = __smlad(b, second, sums[0][o]);
                if constexpr (R == 2) {
                    sums[1][o] = __smlad(c, first, sums[1][o]);
                    sums[1][o] = __smlad(d, second, sums[1][o]);
                }
            }
            w += 2;
        }
        packed = w;
    }

    template <int R>
    static __attribute__((noinline)) void rows(const Conv2dS16Params& params, const LayerS16& layer,
                                               int32_t depth, const int16_t* const (&x)[2], int16_t* output) {
        const auto* packed = static_cast<const int32_t*>(layer.weights);
        const int32_t made = params.output.channels;
        for (int32_t o = 0; o < made; o += 2) {
            const int32_t next = o + 1 < made ? o + 1 : o;
            int32_t sums[R][2];
            for (int r = 0; r < R; ++r) {
                sums[r][0] = layer.bias[o];
                sums[r][1] = layer.bias[next];
            }
            two<R>(x, depth, packed, sums);
            for (int r = 0; r < R; ++r) {
                int16_t* const to = output + r * made;
                // The second first: where there is none, the first takes its place.
                to[next] =
                    high_to_int16(sums[r][1], layer.multipliers[next], layer.shifts[next], params.bounds);
                to[o] = high_to_int16(sums[r][0], layer.multipliers[o], layer.shifts[o], params.bounds);
            }
        }
    }
};

}  // namespace

void dsp_im2col_s16(const Conv2dS16Params& params, const int16_t* input, const int32_t* packed,
                    const int32_t* bias, const int32_t* multipliers, const int32_t* shifts, int16_t* output,
                    uint8_t* scratch) {
    im2col_s16<Core, 4>(params, input, {packed, bias, multipliers, shifts}, output,
                        reinterpret_cast<int16_t*>(scratch));
}

}  // namespace mcu::kernels
