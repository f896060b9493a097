#include "mcu/kernels/dsp_depthwise.h"

#include "rescale.h"

namespace mcu::kernels {
namespace {

using dsp::Form;

using Tap = const int8_t*;

// Sums of four channels.
struct Sums {
    int32_t of[4];
};

// Two taps of four channels, 15 instructions for 8 products; from C++ clang 19 makes 19, gcc 12 21, with the
// sums in memory between them.
#define DSP_TWO(at, multiply, s0, s1, s2, s3)                                                       \
    "ldrd %[p], %[q], [%[taps], #" at                                                               \
    "]\n"                                                                                           \
    "ldr %[p], [%[p], %[c]]\nldr %[q], [%[q], %[c]]\n"                                              \
    "pkhbt %[l], %[p], %[q], lsl #16\npkhtb %[q], %[q], %[p], asr #16\n"                            \
    "ldrd %[u], %[v], [%[w]], #8\n"                                                                 \
    "sxtb16 %[p], %[l]\nsxtb16 %[l], %[l], ror #8\n" multiply " %[s0], %[p], %[u]" s0 "\n" multiply \
    " %[s1], %[l], %[v]" s1                                                                         \
    "\n"                                                                                            \
    "ldrd %[u], %[v], [%[w]], #8\n"                                                                 \
    "sxtb16 %[p], %[q]\nsxtb16 %[q], %[q], ror #8\n" multiply " %[s2], %[p], %[u]" s2 "\n" multiply \
    " %[s3], %[q], %[v]" s3 "\n"
#define DSP_FIRST(at) DSP_TWO(at, "smuad", "", "", "", "")
#define DSP_NEXT(at) DSP_TWO(at, "smlad", ", %[s0]", ", %[s1]", ", %[s2]", ", %[s3]")
#define DSP_ONE(at)                                                      \
    "ldr %[p], [%[taps], #" at                                           \
    "]\n"                                                                \
    "ldr %[p], [%[p], %[c]]\nldrd %[u], %[v], [%[w]], #8\n"              \
    "sxtb16 %[q], %[p]\nsxtb16 %[p], %[p], ror #8\n"                     \
    "smlabb %[s0], %[q], %[u], %[s0]\nsmlabb %[s1], %[p], %[v], %[s1]\n" \
    "smlatt %[s2], %[q], %[u], %[s2]\nsmlatt %[s3], %[p], %[v], %[s3]\n"
#define DSP_SUMS(text, constraint)                                                                \
    __asm__ volatile(                                                                             \
        text                                                                                      \
        : [s0] constraint(s0), [s1] constraint(s1), [s2] constraint(s2), [s3] constraint(s3),     \
          [w] "+&r"(packed), [p] "=&r"(p), [q] "=&r"(q), [l] "=&r"(l), [u] "=&r"(u), [v] "=&r"(v) \
        : [taps] "r"(taps), [c] "r"(channel)                                                      \
        : "memory")

// The sums of channels channel ... channel + 3; `packed` moves past their weights.
inline __attribute__((always_inline)) Sums nine_taps(const Tap* taps, int32_t channel,
                                                     const int32_t*& packed) {
    int32_t s0, s1, s2, s3, p, q, l, u, v;
    DSP_SUMS(DSP_FIRST("0") DSP_NEXT("8") DSP_NEXT("16") DSP_NEXT("24") DSP_ONE("32"), "=&r");
    return {{s0, s1, s2, s3}};
}

inline __attribute__((always_inline)) Sums any_taps(const Tap* taps, int32_t count, int32_t channel,
                                                    const int32_t*& packed) {
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, p, q, l, u, v;
    for (const Tap* const end = taps + count; taps < end; taps += 2) {
        DSP_SUMS(DSP_NEXT("0"), "+&r");
    }
    return {{s0, s1, s2, s3}};
}

// Points every tap at its pixel, or at the edge. An odd last tap has a partner, whose weights are zero.
void point(const DspDepthwiseParams& params, const int8_t* image, Pair origin, const int8_t* edge,
           Tap* taps) {
    const ImageSize& size = params.input;
    const Window& window = params.window;
    for (int32_t ky = 0; ky < window.size.y; ++ky) {
        const int32_t y = origin.y + ky * window.dilation.y;
        const bool inside = y >= 0 && y < size.height;
#pragma GCC unroll 1
        for (int32_t kx = 0; kx < window.size.x; ++kx) {
            const int32_t x = origin.x + kx * window.dilation.x;
            *taps++ =
                inside && x >= 0 && x < size.width ? image + (y * size.width + x) * size.channels : edge;
        }
    }
    if (window.size.y * window.size.x % 2 != 0) {
        taps[0] = taps[-1];
    }
}

// All channels of one pixel.
template <Form kForm, bool kNine>
__attribute__((noinline)) void pixel(const DspDepthwiseParams& params, const Tap* taps, int32_t count,
                                     const int32_t* packed, int8_t* output) {
    const DspBounds bounds = params.bounds;
    const int32_t last = params.input.channels - 4;
    for (int32_t channel = 0;;) {
        const Sums sums = kNine ? nine_taps(taps, channel, packed) : any_taps(taps, count, channel, packed);
        int8_t* const out = output + channel;
#pragma GCC unroll 4
        for (int32_t i = 0; i < 4; ++i) {
            const DspScale scale = reinterpret_cast<const DspScale*>(packed)[i];
            out[i] = dsp::rescale<kForm>(scale.doubled_bias + sums.of[i] * 2, scale, bounds);
        }
        packed += 16;
        if (channel == last) {
            return;
        }
        channel = channel + 4 < last ? channel + 4 : last;
    }
}

template <Form kForm, bool kNine>
inline void depthwise(const DspDepthwiseParams& params, const int8_t* input, const int32_t* packed,
                      const int8_t* edge, int8_t* output, uint8_t* scratch) {
    const auto taps = reinterpret_cast<Tap*>(scratch);
    const Window& window = params.window;
    const int32_t count = kNine ? 9 : window.size.y * window.size.x;
    const int32_t span = params.input.width - (window.size.x - 1) * window.dilation.x;
    const int32_t step = window.stride.x * params.input.channels;
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t oy = 0; oy < params.output.y; ++oy) {
            Pair origin = {oy * window.stride.y - window.padding.y, -window.padding.x};
            const bool rows_inside =
                origin.y >= 0 && origin.y + (window.size.y - 1) * window.dilation.y < params.input.height;
            for (int32_t ox = 0; ox < params.output.x; ++ox, origin.x += window.stride.x) {
                // Neighbours that are both inside have taps a step apart.
                if (rows_inside && origin.x >= window.stride.x && origin.x < span) {
                    for (int32_t tap = 0; tap < count; ++tap) {
                        taps[tap] += step;
                    }
                } else {
                    point(params, input, origin, edge, taps);
                }
                pixel<kForm, kNine>(params, taps, count, packed, output);
                output += params.input.channels;
            }
        }
        input += params.input.height * params.input.width * params.input.channels;
    }
}

}  // namespace

#define MCU_DSP_DEPTHWISE(name, kForm, kNine)                                                               \
    void dsp_depthwise_##name(const DspDepthwiseParams& params, const int8_t* input, const int32_t* packed, \
                              const int8_t* edge, int8_t* output, uint8_t* taps) {                          \
        depthwise<kForm, kNine>(params, input, packed, edge, output, taps);                                 \
    }

MCU_DSP_DEPTHWISE(3x3_relu, Form::kRelu, true)
MCU_DSP_DEPTHWISE(3x3_ties, Form::kTies, true)
MCU_DSP_DEPTHWISE(3x3_bounded, Form::kBounded, true)
MCU_DSP_DEPTHWISE(relu, Form::kRelu, false)
MCU_DSP_DEPTHWISE(ties, Form::kTies, false)
MCU_DSP_DEPTHWISE(bounded, Form::kBounded, false)

}  // namespace mcu::kernels
