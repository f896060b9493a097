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

void max_pool2d_s16(const PoolS16Params& params, const int16_t* input, int16_t* output) {
    for_each_output(params, input, output, [&params](const int16_t* channel, Pair origin) {
        int16_t highest = -32768;
        for_each_element(params, channel, origin,
                         [&highest](int16_t value) { highest = value > highest ? value : highest; });
        return highest;
    });
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
