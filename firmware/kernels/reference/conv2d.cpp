#include "mcu/kernels/conv2d.h"

#include "mcu/kernels/windows.h"

namespace mcu::kernels {
namespace {

int32_t dot(const int8_t* input, const int8_t* weights, int32_t count, int32_t input_offset) {
    int32_t sum = 0;
    for (int32_t i = 0; i < count; ++i) {
        sum += (input[i] + input_offset) * weights[i];
    }
    return sum;
}

}  // namespace

void conv2d_s8(const Conv2dParams& params, const int8_t* input, const int8_t* weights, const int32_t* bias,
               const int32_t* multipliers, const int32_t* shifts, int8_t* output) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const int32_t depth = channels / params.groups;
    const int32_t group_outputs = params.output.channels / params.groups;
    const int32_t filter = window.size.y * window.size.x * depth;
    for_each_window(params, [&](int32_t n, Pair corner) {
        const int8_t* image = input + n * pixels(params.input) * channels;
        for (int32_t o = 0; o < params.output.channels; ++o) {
            const int8_t* const group = image + o / group_outputs * depth;
            const int8_t* const taps = weights + o * filter;
            int32_t sum = bias != nullptr ? bias[o] : 0;
            for_each_tap(window, params.input, corner, [&](int32_t pixel, int32_t tap) {
                sum += dot(group + pixel * channels, taps + tap * depth, depth, params.input_offset);
            });
            *output++ = to_int8(sum, multipliers[o], shifts[o], params.epilogue);
        }
    });
}

}  // namespace mcu::kernels
