#include "mcu/kernels/conv2d_s16.h"

namespace mcu::kernels {
namespace {

// The window of one output element: `image` is the first channel of the group, `origin` the window's corner.
template <typename Sum>
Sum window_sum(const Conv2dS16Params& params, const int16_t* image, const int8_t* weights, Pair origin) {
    const Window& window = params.window;
    const int32_t depth = params.input.channels / params.groups;
    Sum sum = 0;
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
            const int16_t* const pixel = image + (y * params.input.width + x) * params.input.channels;
            const int8_t* const tap = weights + (ky * window.size.x + kx) * depth;
            for (int32_t i = 0; i < depth; ++i) {
                sum += pixel[i] * tap[i];
            }
        }
    }
    return sum;
}

template <typename Sum>
void conv2d(const Conv2dS16Params& params, const int16_t* input, const int8_t* weights, const int32_t* bias,
            const int32_t* multipliers, const int32_t* shifts, int16_t* output) {
    const Window& window = params.window;
    const int32_t depth = params.input.channels / params.groups;
    const int32_t group_outputs = params.output.channels / params.groups;
    const int32_t filter = window.size.y * window.size.x * depth;
    for (int32_t n = 0; n < params.batch; ++n) {
        const int16_t* image = input + n * params.input.height * params.input.width * params.input.channels;
        for (int32_t oy = 0; oy < params.output.height; ++oy) {
            for (int32_t ox = 0; ox < params.output.width; ++ox) {
                const Pair origin = {oy * window.stride.y - window.padding.y,
                                     ox * window.stride.x - window.padding.x};
                for (int32_t o = 0; o < params.output.channels; ++o) {
                    const int16_t* channels = image + o / group_outputs * depth;
                    const Sum sum = bias[o] + window_sum<Sum>(params, channels, weights + o * filter, origin);
                    *output++ = to_int16(sum, multipliers[o], shifts[o], params.bounds);
                }
            }
        }
    }
}

}  // namespace

void conv2d_s16(const Conv2dS16Params& params, const int16_t* input, const int8_t* weights,
                const int32_t* bias, const int32_t* multipliers, const int32_t* shifts, int16_t* output) {
    const auto kernel = params.is_long ? conv2d<int64_t> : conv2d<int32_t>;
    kernel(params, input, weights, bias, multipliers, shifts, output);
}

}  // namespace mcu::kernels
