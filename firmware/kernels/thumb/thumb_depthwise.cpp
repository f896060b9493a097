#include "mcu/kernels/thumb_depthwise.h"

#include "mcu/kernels/taps.h"
#include "rescale.h"

namespace mcu::kernels {
namespace {

using thumb::Form;

// Sums of four channels.
struct Sums {
    int32_t of[4];
};

#if defined(__thumb2__)

// Three taps of four channels: 44 instructions for 12 products with the loop. In DS-CNN a product takes 5.4
// with its share of the rest, from clang 19's C++ 7.5: that keeps pointers and sums on the stack.
#define THUMB_CHANNEL(at, sum) "ldrsb r1, [r0, #" at "]\nldrsb r2, [%[w]], #1\nmla " sum ", r1, r2, " sum "\n"
#define THUMB_TAP                                                                                     \
    "ldr r0, [%[tap]], #4\nadd r0, %[from]\n" THUMB_CHANNEL("0", "%[s0]") THUMB_CHANNEL("1", "%[s1]") \
        THUMB_CHANNEL("2", "%[s2]") THUMB_CHANNEL("3", "%[s3]")

inline __attribute__((always_inline)) Sums sums(const Tap* tap, const Tap* end, int32_t from,
                                                const int8_t*& weights) {
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    __asm__ volatile(
        "1:\n" THUMB_TAP THUMB_TAP THUMB_TAP "cmp %[tap], %[end]\nbne 1b\n"
        : [s0] "+&r"(s0), [s1] "+&r"(s1), [s2] "+&r"(s2), [s3] "+&r"(s3), [tap] "+&r"(tap), [w] "+&r"(weights)
        : [end] "r"(end), [from] "r"(from)
        : "r0", "r1", "r2", "cc", "memory");
    return {{s0, s1, s2, s3}};
}

#else

inline __attribute__((always_inline)) Sums sums(const Tap* tap, const Tap* end, int32_t from,
                                                const int8_t*& weights) {
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    do {
#pragma GCC unroll 3
        for (int32_t i = 0; i < 3; ++i, ++tap, weights += 4) {
            const int8_t* const pixel = *tap + from;
            s0 += pixel[0] * weights[0];
            s1 += pixel[1] * weights[1];
            s2 += pixel[2] * weights[2];
            s3 += pixel[3] * weights[3];
        }
    } while (tap != end);
    return {{s0, s1, s2, s3}};
}

#endif

// All channels of one pixel.
template <Form kForm>
__attribute__((noinline)) void one_pixel(const ThumbDepthwiseParams& params, const Tap* taps, int32_t offset,
                                         const int32_t* packed, int8_t* output) {
    const DspBounds bounds = params.bounds;
    const Tap* const end = taps + params.taps;
    const int32_t last = params.input.channels - 4;
    const auto* weights = reinterpret_cast<const int8_t*>(packed);
    for (int32_t channel = 0;;) {
        const Sums found = sums(taps, end, offset + channel, weights);
        const auto* scales = reinterpret_cast<const DspScale*>(weights);
        int8_t* const out = output + channel;
#pragma GCC unroll 4
        for (int32_t i = 0; i < 4; ++i) {
            out[i] = thumb::rescale<kForm>(found.of[i], scales[i], bounds);
        }
        weights += 4 * sizeof(DspScale);
        if (channel == last) {
            return;
        }
        channel = channel + 4 < last ? channel + 4 : last;
    }
}

template <Form kForm>
inline void depthwise(const ThumbDepthwiseParams& params, const int8_t* input, const int32_t* packed,
                      const int8_t* edge, int8_t* output, uint8_t* scratch) {
    const auto taps = reinterpret_cast<Tap*>(scratch);
    const auto aim = [&](const int8_t* image, Pair origin) {
        // Taps beyond the window's are its last, with weights of zero.
        for (Tap* behind = point(params, image, origin, edge, taps); behind != taps + params.taps; ++behind) {
            *behind = behind[-1];
        }
    };
    for_each_window(params, input, aim, [&](int32_t offset) {
        one_pixel<kForm>(params, taps, offset, packed, output);
        output += params.input.channels;
    });
}

}  // namespace

#define MCU_THUMB_DEPTHWISE(form, kForm)                                                                    \
    void thumb_depthwise_##form(const ThumbDepthwiseParams& params, const int8_t* input,                    \
                                const int32_t* packed, const int8_t* edge, int8_t* output, uint8_t* taps) { \
        depthwise<kForm>(params, input, packed, edge, output, taps);                                        \
    }

MCU_THUMB_DEPTHWISE(relu, Form::kRelu)
MCU_THUMB_DEPTHWISE(ties, Form::kTies)
MCU_THUMB_DEPTHWISE(bounded, Form::kBounded)

}  // namespace mcu::kernels
