#include "mcu/kernels/conv2d.h"

namespace mcu::kernels {
namespace {

int32_t dot(const int8_t* input, const int8_t* weights, int32_t count, int32_t input_offset) {
    int32_t sum = 0;
    for (int32_t i = 0; i < count; ++i) {
        sum += (input[i] + input_offset) * weights[i];
    }
    return sum;
}

// The window of one output element: `image` is the first channel of the group, `origin` the window's corner.
int32_t window_sum(const Conv2dParams& params, const int8_t* image, const int8_t* weights, Pair origin) {
    const Window& window = params.window;
    const int32_t depth = params.input.channels / params.groups;
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
            sum += dot(image + (y * params.input.width + x) * params.input.channels,
                       weights + (ky * window.size.x + kx) * depth, depth, params.input_offset);
        }
    }
    return sum;
}

}  // namespace

void conv2d_s8(const Conv2dParams& params, const int8_t* input, const int8_t* weights, const int32_t* bias,
               const int32_t* multipliers, const int32_t* shifts, int8_t* output) {
    const Window& window = params.window;
    const int32_t depth = params.input.channels / params.groups;
    const int32_t group_outputs = params.output.channels / params.groups;
    const int32_t filter = window.size.y * window.size.x * depth;
    for (int32_t n = 0; n < params.batch; ++n) {
        const int8_t* image = input + n * params.input.height * params.input.width * params.input.channels;
        for (int32_t oy = 0; oy < params.output.height; ++oy) {
            for (int32_t ox = 0; ox < params.output.width; ++ox) {
                const Pair origin = {oy * window.stride.y - window.padding.y,
                                     ox * window.stride.x - window.padding.x};
                for (int32_t o = 0; o < params.output.channels; ++o) {
                    const int8_t* channels = image + o / group_outputs * depth;
                    const int32_t sum = (bias != nullptr ? bias[o] : 0) +
                                        window_sum(params, channels, weights + o * filter, origin);
                    *output++ = to_int8(sum, multipliers[o], shifts[o], params.epilogue);
                }
            }
        }
    }
}

}  // namespace mcu::kernels
