#include "mcu/kernels/depthwise_conv2d.h"

namespace mcu::kernels {
namespace {

// The window of one output element: `image` is at its input channel, `weights` at its output channel.
int32_t window_sum(const DepthwiseConv2dParams& params, const int8_t* image, const int8_t* weights,
                   Pair origin) {
    const Window& window = params.window;
    int32_t sum = 0;
    for (int32_t ky = 0; ky < window.size.y; ++ky) {
        const int32_t y = origin.y + ky * window.dilation.y;
        if (y < 0 || y >= params.input.height) {
            continue;
        }
        for (int32_t kx = 0; kx < window.size.x; ++kx) {
            const int32_t x = origin.x + kx * window.dilation.x;
            if (x < 0 || x >= params.input.width) {
                continue;
            }
            sum += (image[(y * params.input.width + x) * params.input.channels] + params.input_offset) *
                   weights[(ky * window.size.x + kx) * params.output.channels];
        }
    }
    return sum;
}

}  // namespace

void depthwise_conv2d_s8(const DepthwiseConv2dParams& params, const int8_t* input, const int8_t* weights,
                         const int32_t* bias, const int32_t* multipliers, const int32_t* shifts,
                         int8_t* output) {
    const Window& window = params.window;
    const int32_t copies = params.output.channels / params.input.channels;
    for (int32_t n = 0; n < params.batch; ++n) {
        const int8_t* image = input + n * params.input.height * params.input.width * params.input.channels;
        for (int32_t oy = 0; oy < params.output.height; ++oy) {
            for (int32_t ox = 0; ox < params.output.width; ++ox) {
                const Pair origin = {oy * window.stride.y - window.padding.y,
                                     ox * window.stride.x - window.padding.x};
                for (int32_t o = 0; o < params.output.channels; ++o) {
                    const int32_t sum = (bias != nullptr ? bias[o] : 0) +
                                        window_sum(params, image + o / copies, weights + o, origin);
                    *output++ = to_int8(sum, multipliers[o], shifts[o], params.epilogue);
                }
            }
        }
    }
}

}  // namespace mcu::kernels
