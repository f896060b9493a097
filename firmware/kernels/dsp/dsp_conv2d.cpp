#include "mcu/kernels/dsp_conv2d.h"

#include "rescale.h"

namespace mcu::kernels {
namespace {

using dsp::Form;

// One group of four products in every sum of the tile: 12 instructions for 16 products. Written out, because
// the compilers neither load four registers at once nor keep the tile in registers: clang 19 takes 17.
#define DSP_HALF(multiply, weights, pixel0, pixel1, b0, a0, b1, a1)                                        \
    "sxtb16 %[b], %[" weights "]\n" multiply " %[b0], " pixel0 ", %[b]" b0 "\n" multiply " %[a0], " pixel0 \
    ", %[" weights "]" a0 "\n" multiply " %[b1], " pixel1 ", %[b]" b1 "\n" multiply " %[a1], " pixel1      \
    ", %[" weights "]" a1 "\n"
#define DSP_LOAD "ldm %[x]!, {r0, r1, r2, r3}\nldrd %[u], %[v], [%[w]], #8\n"
#define DSP_ONTO(weights, pixel0, pixel1) \
    DSP_HALF("smlad", weights, pixel0, pixel1, ", %[b0]", ", %[a0]", ", %[b1]", ", %[a1]")
#define DSP_FIRST DSP_LOAD DSP_HALF("smuad", "u", "r0", "r2", "", "", "", "") DSP_ONTO("v", "r1", "r3")
#define DSP_NEXT DSP_LOAD DSP_ONTO("u", "r0", "r2") DSP_ONTO("v", "r1", "r3")
// The end of the patch waits on the stack: the tile takes all thirteen registers that clang has to give.
#define DSP_SUMS(first, next)                                                                              \
    __asm__ volatile("push {%[u]}\n" first                                                                 \
                     "ldr r0, [sp]\ncmp %[x], r0\nbeq 2f\n"                                                \
                     "1:\n" next                                                                           \
                     "ldr r0, [sp]\ncmp %[x], r0\nbne 1b\n"                                                \
                     "2:\nadd sp, #4\n"                                                                    \
                     : [b0] "=&r"(sums.b0), [a0] "=&r"(sums.a0), [b1] "=&r"(sums.b1), [a1] "=&r"(sums.a1), \
                       [x] "+&r"(patch), [w] "+&r"(packed), [u] "+&r"(u), [v] "=&r"(v), [b] "=&r"(b)       \
                     :                                                                                     \
                     : "r0", "r1", "r2", "r3", "cc", "memory")

// Sums of channels b and a at pixels 0 and 1; 256 * a + b in place of a.
struct Sums {
    int32_t b0;
    int32_t a0;
    int32_t b1;
    int32_t a1;
};

// `packed` moves past the weights. There are kUnroll groups at least.
template <int kUnroll>
inline __attribute__((always_inline)) Sums tile_sums(const int32_t* patch, const int32_t* end,
                                                     const int32_t*& packed) {
    Sums sums;
    const int32_t* u = end;
    int32_t v, b;
    if constexpr (kUnroll == 2) {
        DSP_SUMS(DSP_FIRST DSP_NEXT, DSP_NEXT DSP_NEXT);
    } else {
        DSP_SUMS(DSP_FIRST DSP_NEXT DSP_NEXT DSP_NEXT, DSP_NEXT DSP_NEXT DSP_NEXT DSP_NEXT);
    }
    return sums;
}

// What follows the weights of a pair in `packed`.
struct PairEnd {
    DspScale b_scale;
    DspScale a_scale;
    int32_t b;
    int32_t a;
};

// All channels of the two pixels at `out0` and `out1`, which are one pixel where one is left.
template <Form kForm, int kUnroll>
__attribute__((noinline)) void two_pixels(const DspTileParams& params, const int32_t* patch,
                                          const int32_t* packed, int8_t* out0, int8_t* out1) {
    const int32_t* const end = patch + 4 * params.groups;
    const DspBounds bounds = params.bounds;
    for (int32_t pairs = params.pairs; pairs > 0; --pairs) {
        const Sums sums = tile_sums<kUnroll>(patch, end, packed);
        const PairEnd pair = *reinterpret_cast<const PairEnd*>(packed);
        packed += sizeof(PairEnd) / sizeof(int32_t);
        // Pixel 1 first: where it is pixel 0, the right one stays. Channel b last, for a pair without an a.
        out1[pair.a] =
            dsp::rescale<kForm>(dsp::doubled_high(sums.a1, sums.b1, pair.a_scale), pair.a_scale, bounds);
        out1[pair.b] = dsp::rescale<kForm>(dsp::doubled(sums.b1, pair.b_scale), pair.b_scale, bounds);
        out0[pair.a] =
            dsp::rescale<kForm>(dsp::doubled_high(sums.a0, sums.b0, pair.a_scale), pair.a_scale, bounds);
        out0[pair.b] = dsp::rescale<kForm>(dsp::doubled(sums.b0, pair.b_scale), pair.b_scale, bounds);
    }
}

// Where one pixel's window goes in the patch: two words of every four.
using Slot = int32_t*;

inline Slot put(int32_t word, Slot slot) {
    slot[0] = dsp::even_bytes(word);
    slot[1] = dsp::odd_bytes(word);
    return slot + 4;
}

inline Slot widen_words(const int8_t* from, int32_t words, Slot slot) {
    for (; words >= 4; words -= 4, from += 16) {
        slot = put(dsp::load_word(from), slot);
        slot = put(dsp::load_word(from + 4), slot);
        slot = put(dsp::load_word(from + 8), slot);
        slot = put(dsp::load_word(from + 12), slot);
    }
    for (; words > 0; --words, from += 4) {
        slot = put(dsp::load_word(from), slot);
    }
    return slot;
}

// `count` bytes, and whatever fills them up to fours.
inline Slot widen(const int8_t* from, int32_t count, Slot slot) {
    slot = widen_words(from, count >> 2, slot);
    if (const int32_t rest = count & 3; rest != 0) {
        slot = put(dsp::load_bytes(from + (count & ~3), rest), slot);
    }
    return slot;
}

inline Slot fill(int32_t words, int32_t word, Slot slot) {
    for (; words > 0; --words) {
        slot = put(word, slot);
    }
    return slot;
}

// A row of a window, byte by byte: `before` of padding, `inside` of the image, `after` of padding.
Slot widen_clipped(const int8_t* from, int32_t before, int32_t inside, int32_t after, int32_t pad,
                   Slot slot) {
    uint32_t word = 0;
    const int32_t count = before + inside + after;
    for (int32_t i = 0; i < count; ++i) {
        const int32_t byte = i >= before && i < before + inside ? from[i - before] : pad;
        word = word >> 8 | static_cast<uint32_t>(byte) << 24;
        if (i % 4 == 3) {
            slot = put(static_cast<int32_t>(word), slot);
        }
    }
    return count % 4 != 0 ? put(static_cast<int32_t>(word >> (8 * (4 - count % 4))), slot) : slot;
}

// The window whose first pixel is `origin`, all of it or what the image has of it.
void widen_window(const DspConv2dParams& params, const int8_t* image, Pair origin, Slot slot) {
    const ImageSize& size = params.input;
    const int32_t run = params.window.size.x * size.channels;
    const int32_t left = origin.x < 0 ? -origin.x : 0;
    const int32_t beyond = origin.x + params.window.size.x - size.width;
    const int32_t right = beyond > 0 ? beyond : 0;
    const int32_t before = left * size.channels;
    const int32_t after = right * size.channels;
    const int32_t pad = static_cast<uint8_t>(params.pad_value) * 0x01010101;
    const int8_t* from = image + (origin.y * size.width + origin.x + left) * size.channels;
    for (int32_t y = origin.y; y < origin.y + params.window.size.y; ++y, from += size.width * size.channels) {
        if (y < 0 || y >= size.height) {
            slot = fill((run + 3) >> 2, pad, slot);
        } else if (left + right == 0) {
            slot = widen(from, run, slot);
        } else if (size.channels % 4 == 0) {
            slot = fill(before >> 2, pad, slot);
            slot = widen_words(from, (run - before - after) >> 2, slot);
            slot = fill(after >> 2, pad, slot);
        } else {
            slot = widen_clipped(from, before, run - before - after, after, pad, slot);
        }
    }
}

template <Form kForm, int kUnroll>
inline void conv2d(const DspConv2dParams& params, const int8_t* input, const int32_t* packed, int8_t* output,
                   uint8_t* patch) {
    const auto slots = reinterpret_cast<int32_t*>(patch);
    const Window& window = params.window;
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t oy = 0; oy < params.output.height; ++oy) {
            Pair origin = {oy * window.stride.y - window.padding.y, -window.padding.x};
            for (int32_t left = params.output.width; left > 0; left -= 2) {
                widen_window(params, input, origin, slots);
                origin.x += window.stride.x;
                int8_t* second = output;
                if (left > 1) {
                    widen_window(params, input, origin, slots + 2);
                    origin.x += window.stride.x;
                    second = output + params.tile.channels;
                }
                two_pixels<kForm, kUnroll>(params.tile, slots, packed, output, second);
                output = second + params.tile.channels;
            }
        }
        input += params.input.height * params.input.width * params.input.channels;
    }
}

template <Form kForm, int kUnroll>
inline void pointwise(const DspPointwiseParams& params, const int8_t* input, const int32_t* packed,
                      int8_t* output, uint8_t* patch) {
    const auto slots = reinterpret_cast<int32_t*>(patch);
    for (int32_t left = params.pixels; left > 0; left -= 2) {
        widen(input, params.depth, slots);
        int8_t* second = output;
        if (left > 1) {
            widen(input + params.depth, params.depth, slots + 2);
            second = output + params.tile.channels;
        }
        two_pixels<kForm, kUnroll>(params.tile, slots, packed, output, second);
        input += 2 * params.depth;
        output = second + params.tile.channels;
    }
}

}  // namespace

#define MCU_DSP_CONVOLUTIONS(form, kForm, unroll)                                                  \
    void dsp_conv2d_##form##_x##unroll(const DspConv2dParams& params, const int8_t* input,         \
                                       const int32_t* packed, int8_t* output, uint8_t* patch) {    \
        conv2d<kForm, unroll>(params, input, packed, output, patch);                               \
    }                                                                                              \
    void dsp_pointwise_##form##_x##unroll(const DspPointwiseParams& params, const int8_t* input,   \
                                          const int32_t* packed, int8_t* output, uint8_t* patch) { \
        pointwise<kForm, unroll>(params, input, packed, output, patch);                            \
    }

MCU_DSP_CONVOLUTIONS(relu, Form::kRelu, 2)
MCU_DSP_CONVOLUTIONS(relu, Form::kRelu, 4)
MCU_DSP_CONVOLUTIONS(ties, Form::kTies, 2)
MCU_DSP_CONVOLUTIONS(ties, Form::kTies, 4)
MCU_DSP_CONVOLUTIONS(bounded, Form::kBounded, 2)
MCU_DSP_CONVOLUTIONS(bounded, Form::kBounded, 4)

}  // namespace mcu::kernels
