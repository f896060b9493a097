// Four channels at a time: SXTB16 widens their weights, SMLABB and SMLATT multiply them: 10 instructions for
// four multiply-accumulates.

#include "mcu/kernels/depthwise_s16.h"

#include "mcu/kernels/runs_s16.h"
#include "mcu/kernels/windows_s16.h"
#include "words.h"

namespace mcu::kernels {
namespace {

using dsp::even_bytes;
using dsp::load_word;
using dsp::odd_bytes;

inline int32_t low(int32_t pair) {
    return static_cast<int16_t>(pair);
}

inline int32_t high(int32_t pair) {
    return pair >> 16;
}

inline void four_channels(const ClippedWindowS16& window, int32_t channels, int32_t c, int32_t (&sums)[4]) {
    int32_t a = sums[0];
    int32_t b = sums[1];
    int32_t d = sums[2];
    int32_t e = sums[3];
    for (int32_t y = 0; y < window.rows; ++y) {
        const int16_t* from = window.first + y * window.x_row + c;
        const int8_t* tap = window.weights + y * window.w_row + c;
        for (int32_t x = window.columns; x > 0; --x, from += window.x_column, tap += channels) {
            const int32_t first = load_word(from);
            const int32_t second = load_word(from + 2);
            const int32_t taps = load_word(tap);
            const int32_t even = even_bytes(taps);
            const int32_t odd = odd_bytes(taps);
            a += low(first) * low(even);
            b += high(first) * low(odd);
            d += low(second) * high(even);
            e += high(second) * high(odd);
        }
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = d;
    sums[3] = e;
}

}  // namespace

void depthwise_s16(const Conv2dS16Params& params, const int16_t* input, const int8_t* weights,
                   const int32_t* bias, const int32_t* multipliers, const int32_t* shifts, int16_t* output) {
    const int32_t channels = params.input.channels;
    for_each_window(params, input, weights, output, [&](const ClippedWindowS16& window, int16_t* to) {
        int32_t c = 0;
        for (; !params.is_long && c + 4 <= channels; c += 4) {
            int32_t sums[4] = {bias[c], bias[c + 1], bias[c + 2], bias[c + 3]};
            four_channels(window, channels, c, sums);
            for (int32_t k = 0; k < 4; ++k) {
                to[c + k] = runs::finished(sums[k], multipliers[c + k], shifts[c + k], params.bounds);
            }
        }
        for (; c < channels; ++c) {
            to[c] =
                to_int16(one_channel(window, channels, c, bias[c]), multipliers[c], shifts[c], params.bounds);
        }
    });
}

}  // namespace mcu::kernels
