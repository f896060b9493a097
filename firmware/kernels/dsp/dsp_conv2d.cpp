#include "mcu/kernels/dsp_conv2d.h"

#include "rescale.h"

namespace mcu::kernels {
namespace {

using dsp::Form;

// One group of four products in every sum of the tile: 12 instructions for 16 products, 12.75 with the loop.
// The same from intrinsics takes clang 19 17, gcc 12 19: they do not load four registers at once.
#define DSP_HALF(multiply, weights, pixel0, pixel1, b0, a0, b1, a1)                                        \
    "sxtb16 %[t], %[" weights "]\n" multiply " %[b0], " pixel0 ", %[t]" b0 "\n" multiply " %[a0], " pixel0 \
    ", %[" weights "]" a0 "\n" multiply " %[b1], " pixel1 ", %[t]" b1 "\n" multiply " %[a1], " pixel1      \
    ", %[" weights "]" a1 "\n"
#define DSP_LOAD "ldm %[x]!, {r0, r1, r2, r3}\nldrd %[u], %[v], [%[w]], #8\n"
#define DSP_ONTO(weights, pixel0, pixel1) \
    DSP_HALF("smlad", weights, pixel0, pixel1, ", %[b0]", ", %[a0]", ", %[b1]", ", %[a1]")
#define DSP_FIRST DSP_LOAD DSP_HALF("smuad", "u", "r0", "r2", "", "", "", "") DSP_ONTO("v", "r1", "r3")
#define DSP_NEXT DSP_LOAD DSP_ONTO("u", "r0", "r2") DSP_ONTO("v", "r1", "r3")

// The sums doubled, with their bias, then rescaled and clamped: 26 instructions for four outputs (relu). From
// C++ clang 19 takes 61 with the loop around them, against 34, for it spills.
#define DSP_DOUBLED(sum, shift) "add " sum ", r0, " sum ", " shift "\n"
#define DSP_HIGH_RELU(sum) "smmlar " sum ", " sum ", r1, r2\nasr " sum ", " sum ", r3\n"
#define DSP_HIGH_TIES(sum) \
    "add %[t], r2, " sum ", asr #31\nsmmlar " sum ", " sum ", r1, %[t]\nasr " sum ", " sum ", r3\n"
#define DSP_SATURATED(sum) "ssat " sum ", #8, " sum "\n"
#define DSP_CLAMPED(sum) \
    "cmp " sum ", %[u]\nit lt\nmovlt " sum ", %[u]\ncmp " sum ", %[v]\nit gt\nmovgt " sum ", %[v]\n"
#define DSP_FINISH(high, clamp)                                                                      \
    "ldm %[w]!, {r0, r1, r2, r3}\nsub %[a0], %[a0], %[b0]\nsub %[a1], %[a1], %[b1]\n" DSP_DOUBLED(   \
        "%[b0]", "lsl #1") DSP_DOUBLED("%[b1]", "lsl #1") high("%[b0]") high("%[b1]") clamp("%[b0]") \
        clamp("%[b1]") "ldm %[w]!, {r0, r1, r2, r3}\n" DSP_DOUBLED("%[a0]", "asr #7")                \
            DSP_DOUBLED("%[a1]", "asr #7") high("%[a0]") high("%[a1]") clamp("%[a0]") clamp("%[a1]")

// The arguments of a tile, copied to the stack: its registers are all thirteen that clang has to give. Pixel
// 1 is stored first: where it is pixel 0, the right one stays. Channel b last, for a pair without an a.
#define DSP_TILES(first, next, bounds, finish)                                                             \
    __asm__ volatile(                                                                                      \
        "ldrd %[u], %[v], [%[x], #24]\nstrd %[u], %[v], [sp, #-8]!\n"                                      \
        "ldrd %[u], %[v], [%[x], #16]\nstrd %[u], %[v], [sp, #-8]!\n"                                      \
        "ldm %[x], {r0, r1, r2, r3}\npush {r0, r1, r2, r3}\n"                                              \
        "1:\nldr %[x], [sp]\n" first                                                                       \
        "ldr r0, [sp, #4]\ncmp %[x], r0\nbeq 3f\n"                                                         \
        "2:\n" next                                                                                        \
        "ldr r0, [sp, #4]\ncmp %[x], r0\nbne 2b\n"                                                         \
        "3:\n" bounds finish                                                                               \
        "ldrd %[u], %[v], [%[w]], #8\nldrd r0, r1, [sp, #8]\n"                                             \
        "strb %[a1], [r1, %[v]]\nstrb %[b1], [r1, %[u]]\n"                                                 \
        "strb %[a0], [r0, %[v]]\nstrb %[b0], [r0, %[u]]\n"                                                 \
        "ldr r0, [sp, #16]\ncmp %[w], r0\nbne.w 1b\nadd sp, #32\n"                                         \
        : [b0] "=&r"(b0), [a0] "=&r"(a0), [b1] "=&r"(b1), [a1] "=&r"(a1), [x] "+&r"(x), [w] "+&r"(packed), \
          [u] "=&r"(u), [v] "=&r"(v), [t] "=&r"(t)                                                         \
        :                                                                                                  \
        : "r0", "r1", "r2", "r3", "cc", "memory")

// In the order of the assembly.
struct TileArguments {
    const int32_t* patch;
    const int32_t* patch_end;
    int8_t* out0;
    int8_t* out1;
    const int32_t* packed_end;
    int32_t unused;
    DspBounds bounds;
};

// Words of a pair's two scales and two channel numbers in `packed`.
constexpr int32_t kPairEnd = 10;

// All channels of the two pixels at `out0` and `out1`, which are one pixel where one is left.
template <Form kForm, int kUnroll>
__attribute__((noinline)) void two_pixels(const DspTileParams& params, const int32_t* patch,
                                          const int32_t* packed, int8_t* out0, int8_t* out1) {
    const int32_t* const packed_end = packed + params.pairs * (2 * params.groups + kPairEnd);
    const TileArguments arguments = {patch,        patch + 4 * params.groups, out0, out1, packed_end, 0,
                                     params.bounds};
    const TileArguments* x = &arguments;
    int32_t b0, a0, b1, a1, u, v, t;
#define DSP_TILES_OF(bounds, finish)                                                                 \
    if constexpr (kUnroll == 2) {                                                                    \
        DSP_TILES(DSP_FIRST DSP_NEXT, DSP_NEXT DSP_NEXT, bounds, finish);                            \
    } else {                                                                                         \
        DSP_TILES(DSP_FIRST DSP_NEXT DSP_NEXT DSP_NEXT, DSP_NEXT DSP_NEXT DSP_NEXT DSP_NEXT, bounds, \
                  finish);                                                                           \
    }
    if constexpr (kForm == Form::kRelu) {
        DSP_TILES_OF("", DSP_FINISH(DSP_HIGH_RELU, DSP_SATURATED));
    } else if constexpr (kForm == Form::kTies) {
        DSP_TILES_OF("", DSP_FINISH(DSP_HIGH_TIES, DSP_SATURATED));
    } else {
        DSP_TILES_OF("ldrd %[u], %[v], [sp, #24]\n", DSP_FINISH(DSP_HIGH_TIES, DSP_CLAMPED));
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

// `count` bytes, filled up to fours with zeros.
__attribute__((noinline)) Slot widen(const int8_t* from, int32_t count, Slot slot) {
    slot = widen_words(from, count >> 2, slot);
    if (const int32_t rest = count & 3; rest != 0) {
        slot = put(dsp::load_bytes(from + count - rest, rest), slot);
    }
    return slot;
}

inline Slot fill(int32_t words, int32_t word, Slot slot) {
    for (; words > 0; --words) {
        slot = put(word, slot);
    }
    return slot;
}

// A row of a window: `before` and `after` are bytes outside the image, `run` all its bytes.
struct Row {
    const int8_t* inside;
    int32_t before;
    int32_t after;
    int32_t run;
};

// Calls function(row, whether it is in the image) for the rows of the window at `origin`.
template <typename Function>
inline __attribute__((always_inline)) void for_each_row(const DspConv2dParams& params, const int8_t* image,
                                                        Pair origin, const Function& function) {
    const ImageSize& size = params.input;
    const int32_t left = origin.x < 0 ? -origin.x : 0;
    const int32_t beyond = origin.x + params.window.size.x - size.width;
    const int32_t right = beyond > 0 ? beyond : 0;
    Row row = {image + (origin.y * size.width + origin.x + left) * size.channels, left * size.channels,
               right * size.channels, params.window.size.x * size.channels};
    for (int32_t y = origin.y; y < origin.y + params.window.size.y; ++y) {
        function(row, static_cast<uint32_t>(y) < static_cast<uint32_t>(size.height));
        row.inside += size.width * size.channels;
    }
}

// Windows of pixels that are whole words.
struct Words {
    static void widen_window(const DspConv2dParams& params, const int8_t* image, Pair origin, Slot slot) {
        const int32_t pad = static_cast<uint8_t>(params.pad_value) * 0x01010101;
        for_each_row(params, image, origin, [&](const Row& row, bool inside) {
            if (!inside) {
                slot = fill(row.run >> 2, pad, slot);
                return;
            }
            slot = fill(row.before >> 2, pad, slot);
            slot = widen_words(row.inside, (row.run - row.before - row.after) >> 2, slot);
            slot = fill(row.after >> 2, pad, slot);
        });
    }
};

__attribute__((noinline)) int8_t* fill_bytes(int32_t count, int8_t byte, int8_t* to) {
#pragma GCC unroll 1
    for (; count > 0; --count) {
        *to++ = byte;
    }
    return to;
}

// By words, the last of which may overlap the one before it.
inline int8_t* copy_bytes(const int8_t* from, int32_t count, int8_t* to) {
    if (count < 4) {
        for (; count > 0; --count) {
            *to++ = *from++;
        }
        return to;
    }
    int32_t done = 0;
    for (; done <= count - 4; done += 4) {
        dsp::store_word(dsp::load_word(from + done), to + done);
    }
    if (done != count) {
        dsp::store_word(dsp::load_word(from + count - 4), to + count - 4);
    }
    return to + count;
}

// Other windows: brought together byte by byte behind the patch, then widened.
struct Bytes {
    static void widen_window(const DspConv2dParams& params, const int8_t* image, Pair origin, Slot slot) {
        // Behind the patch; two words further on for the second pixel, as its slots are.
        const auto pad = static_cast<int8_t>(params.pad_value);
        int8_t* const window = reinterpret_cast<int8_t*>(slot + 4 * params.tile.groups);
        int8_t* to = window;
        for_each_row(params, image, origin, [&](const Row& row, bool inside) {
            if (!inside) {
                to = fill_bytes(row.run, pad, to);
                return;
            }
            if (row.before > 0) {
                to = fill_bytes(row.before, pad, to);
            }
            to = copy_bytes(row.inside, row.run - row.before - row.after, to);
            if (row.after > 0) {
                to = fill_bytes(row.after, pad, to);
            }
        });
        widen_words(window, (to - window + 3) >> 2, slot);
    }
};

template <typename Kind, Form kForm, int kUnroll>
inline void conv2d(const DspConv2dParams& params, const int8_t* input, const int32_t* packed, int8_t* output,
                   uint8_t* patch) {
    const auto slots = reinterpret_cast<int32_t*>(patch);
    const Window& window = params.window;
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t oy = 0; oy < params.output.height; ++oy) {
            Pair origin = {oy * window.stride.y - window.padding.y, -window.padding.x};
            for (int32_t left = params.output.width; left > 0; left -= 2) {
                Kind::widen_window(params, input, origin, slots);
                origin.x += window.stride.x;
                int8_t* second = output;
                if (left > 1) {
                    Kind::widen_window(params, input, origin, slots + 2);
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

#define MCU_DSP_CONVOLUTIONS(form, kForm, unroll)                                                     \
    void dsp_conv2d_##form##_x##unroll(const DspConv2dParams& params, const int8_t* input,            \
                                       const int32_t* packed, int8_t* output, uint8_t* patch) {       \
        conv2d<Words, kForm, unroll>(params, input, packed, output, patch);                           \
    }                                                                                                 \
    void dsp_conv2d_bytes_##form##_x##unroll(const DspConv2dParams& params, const int8_t* input,      \
                                             const int32_t* packed, int8_t* output, uint8_t* patch) { \
        conv2d<Bytes, kForm, unroll>(params, input, packed, output, patch);                           \
    }                                                                                                 \
    void dsp_pointwise_##form##_x##unroll(const DspPointwiseParams& params, const int8_t* input,      \
                                          const int32_t* packed, int8_t* output, uint8_t* patch) {    \
        pointwise<kForm, unroll>(params, input, packed, output, patch);                               \
    }

MCU_DSP_CONVOLUTIONS(relu, Form::kRelu, 2)
MCU_DSP_CONVOLUTIONS(relu, Form::kRelu, 4)
MCU_DSP_CONVOLUTIONS(ties, Form::kTies, 2)
MCU_DSP_CONVOLUTIONS(ties, Form::kTies, 4)
MCU_DSP_CONVOLUTIONS(bounded, Form::kBounded, 2)
MCU_DSP_CONVOLUTIONS(bounded, Form::kBounded, 4)

}  // namespace mcu::kernels
