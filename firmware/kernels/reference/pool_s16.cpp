#include "mcu/kernels/pool_s16.h"

namespace mcu::kernels {
namespace {

// Calls element(value) for what a window holds of one channel of the image, `origin` its corner.
template <typename Element>
void for_each_element(const PoolS16Params& params, const int16_t* channel, Pair origin,
                      const Element& element) {
    const Window& window = params.window;
    for (int32_t ky = 0; ky < window.size.y; ++ky) {
        const int32_t y = origin.y + ky * window.dilation.y;
        for (int32_t kx = 0; y >= 0 && y < params.input.height && kx < window.size.x; ++kx) {
            const int32_t x = origin.x + kx * window.dilation.x;
            if (x >= 0 && x < params.input.width) {
                element(channel[(y * params.input.width + x) * params.input.channels]);
            }
        }
    }
}

template <typename Pool>
void for_each_output(const PoolS16Params& params, const int16_t* input, int16_t* output, const Pool& pool) {
    const Window& window = params.window;
    for (int32_t n = 0; n < params.batch; ++n) {
        const int16_t* image = input + n * params.input.height * params.input.width * params.input.channels;
        for (int32_t oy = 0; oy < params.output.height; ++oy) {
            for (int32_t ox = 0; ox < params.output.width; ++ox) {
                const Pair origin = {oy * window.stride.y - window.padding.y,
                                     ox * window.stride.x - window.padding.x};
                for (int32_t c = 0; c < params.output.channels; ++c) {
                    *output++ = pool(image + c, origin);
                }
            }
        }
    }
}

}  // namespace

// Channels are innermost: compilers take several at once.
void max_pool2d_s16(const PoolS16Params& params, const int16_t* input, int16_t* output) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    for (int32_t n = 0; n < params.batch; ++n) {
        const int16_t* const image = input + n * params.input.height * params.input.width * channels;
        for (int32_t oy = 0; oy < params.output.height; ++oy) {
            for (int32_t ox = 0; ox < params.output.width; ++ox, output += channels) {
                for (int32_t c = 0; c < channels; ++c) {
                    output[c] = -32768;
                }
                for (int32_t tap = 0; tap < window.size.y * window.size.x; ++tap) {
                    const int32_t y =
                        oy * window.stride.y - window.padding.y + tap / window.size.x * window.dilation.y;
                    const int32_t x =
                        ox * window.stride.x - window.padding.x + tap % window.size.x * window.dilation.x;
                    if (y < 0 || y >= params.input.height || x < 0 || x >= params.input.width) {
                        continue;
                    }
                    const int16_t* const pixel = image + (y * params.input.width + x) * channels;
                    for (int32_t c = 0; c < channels; ++c) {
                        output[c] = pixel[c] > output[c] ? pixel[c] : output[c];
                    }
                }
            }
        }
    }
}

void avg_pool2d_s16(const PoolS16Params& params, const int16_t* input, const int32_t* multipliers,
                    int16_t* output) {
    for_each_output(params, input, output, [&params, multipliers](const int16_t* channel, Pair origin) {
        int64_t sum = 0;
        int32_t count = 0;
        for_each_element(params, channel, origin, [&sum, &count](int16_t value) {
            sum += value;
            ++count;
        });
        return saturated_s16(rounded(sum, multipliers[count], params.shift));
    });
}

}  // namespace mcu::kernels
