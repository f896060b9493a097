#include "mcu/kernels/conv2d_s16.h"

#include "mcu/kernels/windows.h"

namespace mcu::kernels {
namespace {

template <typename Sum>
void conv2d(const Conv2dS16Params& params, const int16_t* input, const int8_t* weights, const int32_t* bias,
            const int32_t* multipliers, const int32_t* shifts, int16_t* output) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const int32_t depth = channels / params.groups;
    const int32_t group_outputs = params.output.channels / params.groups;
    const int32_t filter = window.size.y * window.size.x * depth;
    for_each_window(params, [&](int32_t n, Pair corner) {
        const int16_t* image = input + n * pixels(params.input) * channels;
        for (int32_t o = 0; o < params.output.channels; ++o) {
            const int16_t* const group = image + o / group_outputs * depth;
            const int8_t* const taps = weights + o * filter;
            Sum sum = bias[o];
            for_each_tap(window, params.input, corner, [&](int32_t pixel, int32_t tap) {
                for (int32_t i = 0; i < depth; ++i) {
                    sum += group[pixel * channels + i] * taps[tap * depth + i];
                }
            });
            *output++ = to_int16(sum, multipliers[o], shifts[o], params.bounds);
        }
    });
}

}  // namespace

void conv2d_s16(const Conv2dS16Params& params, const int16_t* input, const int8_t* weights,
                const int32_t* bias, const int32_t* multipliers, const int32_t* shifts, int16_t* output) {
    const auto kernel = params.is_long ? conv2d<int64_t> : conv2d<int32_t>;
    kernel(params, input, weights, bias, multipliers, shifts, output);
}

}  // namespace mcu::kernels
