#include "mcu/kernels/dsp_depthwise.h"

#include "mcu/kernels/taps.h"
#include "requantize.h"

namespace mcu::kernels {
namespace {

using dsp::Form;

// Sums of four channels.
struct Sums {
    int32_t of[4];
};

// Two taps of four channels: 18 instructions for 8 products, in the order that lets a Cortex-M4's loads
// overlap; 15 on a Cortex-M33, where a pair takes as long as its two loads.
#if defined(__ARM_ARCH_8M_MAIN__)
#define DSP_TAPS(at, next) "ldrd r0, r1, [%[taps], #" at "]\n"
#define DSP_WEIGHTS "ldrd r3, %[v], [%[w]], #8\n"
#else
#define DSP_TAPS(at, next) "ldr r0, [%[taps], #" at "]\nldr r1, [%[taps], #" next "]\n"
#define DSP_WEIGHTS "ldr %[v], [%[w], #4]\nldr r3, [%[w]], #8\n"
#endif
#define DSP_TWO(at, next, multiply, s0, s1, s2, s3)                                     \
    DSP_TAPS(at, next)                                                                  \
    DSP_WEIGHTS                                                                         \
    "ldr r0, [r0, %[c]]\nldr r1, [r1, %[c]]\n"                                          \
    "pkhbt r2, r0, r1, lsl #16\npkhtb r1, r1, r0, asr #16\n"                            \
    "sxtb16 r0, r2\nsxtb16 r2, r2, ror #8\n" multiply " %[s0], r0, r3" s0 "\n" multiply \
    " %[s1], r2, %[v]" s1 "\n" DSP_WEIGHTS                                              \
    "sxtb16 r0, r1\n"                                                                   \
    "sxtb16 r1, r1, ror #8\n" multiply " %[s2], r0, r3" s2 "\n" multiply " %[s3], r1, %[v]" s3 "\n"
#define DSP_FIRST(at, next) DSP_TWO(at, next, "smuad", "", "", "", "")
#define DSP_NEXT(at, next) DSP_TWO(at, next, "smlad", ", %[s0]", ", %[s1]", ", %[s2]", ", %[s3]")
#define DSP_ONE(at)                                                \
    "ldr r0, [%[taps], #" at "]\n" DSP_WEIGHTS                     \
    "ldr r0, [r0, %[c]]\n"                                         \
    "sxtb16 r1, r0\nsxtb16 r0, r0, ror #8\n"                       \
    "smlabb %[s0], r1, r3, %[s0]\nsmlabb %[s1], r0, %[v], %[s1]\n" \
    "smlatt %[s2], r1, r3, %[s2]\nsmlatt %[s3], r0, %[v], %[s3]\n"

// One channel's requantization: six instructions (relu), 2.7 fewer than clang 19 made of C++ in DS-CNN. The
// output before is stored behind the loads, which a Cortex-M4 makes wait for a store in front of them.
#define DSP_CHANNEL(sum, before, half_away, clamp)                 \
    "ldm %[w]!, {r0, r1, r2, r3}\n" before "add " sum ", r0, " sum \
    ", lsl #1\n" half_away(sum) "smmlar " sum ", " sum ", r1, r2\nasr " sum ", " sum ", r3\n" clamp(sum)
#define DSP_STORE(sum) "strb " sum ", [%[out]], #1\n"
#define DSP_NO_TIES(sum)
#define DSP_TIES(sum) "add r2, r2, " sum ", asr #31\n"
#define DSP_SATURATED(sum) "ssat " sum ", #8, " sum "\n"
#define DSP_CLAMPED(sum)                                                                                   \
    "ldrd r0, r1, [sp, #4]\ncmp " sum ", r0\nit lt\nmovlt " sum ", r0\ncmp " sum ", r1\nit gt\nmovgt " sum \
    ", r1\n"
// Where the loop ends, and the bounds, wait on the stack.
#define DSP_NINE(half_away, clamp)                                                                          \
    __asm__ volatile(                                                                                       \
        "ldm %[v], {r0, r1, r2}\npush {r0, r1, r2}\n1:\n" DSP_FIRST("0", "4") DSP_NEXT("8", "12") DSP_NEXT( \
            "16", "20") DSP_NEXT("24", "28") DSP_ONE("32") DSP_CHANNEL("%[s0]", "", half_away, clamp)       \
            DSP_CHANNEL("%[s1]", DSP_STORE("%[s0]"), half_away, clamp)                                      \
                DSP_CHANNEL("%[s2]", DSP_STORE("%[s1]"), half_away, clamp)                                  \
                    DSP_CHANNEL("%[s3]", DSP_STORE("%[s2]"), half_away, clamp) "ldr r0, [sp]\n" DSP_STORE(  \
                        "%[s3]") "add %[c], #4\ncmp %[c], r0\nbne.w 1b\nadd sp, #12\n"                      \
        : [s0] "=&r"(s0), [s1] "=&r"(s1), [s2] "=&r"(s2), [s3] "=&r"(s3), [w] "+&r"(packed),                \
          [c] "+&r"(channel), [out] "+&r"(output), [v] "+&r"(v)                                             \
        : [taps] "r"(taps)                                                                                  \
        : "r0", "r1", "r2", "r3", "cc", "memory")

// In the order of the assembly.
struct NineArguments {
    int32_t end;
    DspBounds bounds;
};

// Channels from `channel` to the one before `end`, by fours; `packed` moves past them.
template <Form kForm>
inline __attribute__((always_inline)) void nine_taps(const Tap* taps, int32_t channel, int32_t end,
                                                     const DspBounds& bounds, const int32_t*& packed,
                                                     int8_t* output) {
    const NineArguments arguments = {end, bounds};
    const NineArguments* v = &arguments;
    int32_t s0, s1, s2, s3;
    if constexpr (kForm == Form::kRelu) {
        DSP_NINE(DSP_NO_TIES, DSP_SATURATED);
    } else if constexpr (kForm == Form::kHalfAway) {
        DSP_NINE(DSP_TIES, DSP_SATURATED);
    } else {
        DSP_NINE(DSP_TIES, DSP_CLAMPED);
    }
}

// At -Os gcc 12 has registers for any_taps() in a function of its own alone.
#ifdef __OPTIMIZE_SIZE__
#define DSP_ANY_TAPS __attribute__((noinline))
#else
#define DSP_ANY_TAPS inline __attribute__((always_inline))
#endif

// The sums of channels channel ... channel + 3; `packed` moves past their weights.
DSP_ANY_TAPS Sums any_taps(const Tap* taps, int32_t count, int32_t channel, const int32_t*& packed) {
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, v;
    for (const Tap* const end = taps + count; taps < end; taps += 2) {
        __asm__ volatile(
            DSP_NEXT("0", "4")
            : [s0] "+&r"(s0), [s1] "+&r"(s1), [s2] "+&r"(s2), [s3] "+&r"(s3), [w] "+&r"(packed), [v] "=&r"(v)
            : [taps] "r"(taps), [c] "r"(channel)
            : "r0", "r1", "r2", "r3", "memory");
    }
    return {{s0, s1, s2, s3}};
}

// All channels of one pixel, of nine taps and of any number.
template <Form kForm>
__attribute__((noinline)) void nine_tap_pixel(const DspDepthwiseParams& params, const Tap* taps,
                                              int32_t offset, const int32_t* packed, int8_t* output) {
    const int32_t channels = params.input.channels;
    int32_t first = 0;
    int32_t end = channels & ~3;
    for (;;) {
        nine_taps<kForm>(taps, offset + first, offset + end, params.bounds, packed, output + first);
        if (end == channels) {
            return;
        }
        first = channels - 4;
        end = channels;
    }
}

template <Form kForm>
__attribute__((noinline)) void any_tap_pixel(const DspDepthwiseParams& params, const Tap* taps, int32_t count,
                                             int32_t offset, const int32_t* packed, int8_t* output) {
    const DspBounds bounds = params.bounds;
    const int32_t last = params.input.channels - 4;
    for (int32_t channel = 0;;) {
        const Sums sums = any_taps(taps, count, offset + channel, packed);
        int8_t* const out = output + channel;
#pragma GCC unroll 4
        for (int32_t i = 0; i < 4; ++i) {
            const DspScale scale = reinterpret_cast<const DspScale*>(packed)[i];
            out[i] = dsp::requantize<kForm>(dsp::doubled(sums.of[i], scale), scale, bounds);
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
    const int32_t count = kNine ? 9 : params.window.size.y * params.window.size.x;
    const auto aim = [&](const int8_t* image, Pair origin) {
        Tap* const behind = point(params, image, origin, edge, taps);
        // An odd last tap has a partner, whose weights are zero.
        if (!kNine && count % 2 != 0) {
            *behind = behind[-1];
        }
    };
    for_each_window(params, input, aim, [&](int32_t offset) {
        if constexpr (kNine) {
            nine_tap_pixel<kForm>(params, taps, offset, packed, output);
        } else {
            any_tap_pixel<kForm>(params, taps, count, offset, packed, output);
        }
        output += params.input.channels;
    });
}

}  // namespace

#define MCU_DSP_DEPTHWISE(name, kForm, kNine)                                                               \
    void dsp_depthwise_##name(const DspDepthwiseParams& params, const int8_t* input, const int32_t* packed, \
                              const int8_t* edge, int8_t* output, uint8_t* taps) {                          \
        depthwise<kForm, kNine>(params, input, packed, edge, output, taps);                                 \
    }

MCU_DSP_DEPTHWISE(3x3_relu, Form::kRelu, true)
MCU_DSP_DEPTHWISE(3x3_half_away, Form::kHalfAway, true)
MCU_DSP_DEPTHWISE(3x3_bounded, Form::kBounded, true)
MCU_DSP_DEPTHWISE(relu, Form::kRelu, false)
MCU_DSP_DEPTHWISE(half_away, Form::kHalfAway, false)
MCU_DSP_DEPTHWISE(bounded, Form::kBounded, false)

}  // namespace mcu::kernels
