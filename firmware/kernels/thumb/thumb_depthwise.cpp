#include "mcu/kernels/thumb_depthwise.h"

#include "mcu/kernels/taps.h"
#include "rescale.h"

namespace mcu::kernels {
namespace {

using thumb::Form;

// All channels of one pixel.
template <Form kForm>
__attribute__((noinline)) void one_pixel(const ThumbDepthwiseParams& params, const Tap* taps, int32_t offset,
                                         const int32_t* packed, int8_t* output) {
    const DspBounds bounds = params.bounds;
    const Tap* const end = taps + params.window.size.y * params.window.size.x;
    const int32_t last = params.input.channels - 4;
    for (int32_t channel = 0;;) {
        int32_t sums[4] = {0, 0, 0, 0};
        const int32_t from = offset + channel;
        const auto* weights = reinterpret_cast<const int8_t*>(packed);
#pragma GCC unroll 3
        for (const Tap* tap = taps; tap != end; ++tap, weights += 4) {
            const int8_t* const pixel = *tap + from;
            sums[0] += pixel[0] * weights[0];
            sums[1] += pixel[1] * weights[1];
            sums[2] += pixel[2] * weights[2];
            sums[3] += pixel[3] * weights[3];
        }
        const auto* scales = reinterpret_cast<const DspScale*>(weights);
#pragma GCC unroll 4
        for (int32_t i = 0; i < 4; ++i) {
            output[channel + i] = thumb::rescale<kForm>(sums[i], scales[i], bounds);
        }
        packed = reinterpret_cast<const int32_t*>(scales + 4);
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
    const auto aim = [&](const int8_t* image, Pair origin) { point(params, image, origin, edge, taps); };
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
