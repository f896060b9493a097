#include "mcu/kernels/depthwise_conv2d.h"

#include "mcu/kernels/windows.h"

namespace mcu::kernels {

void depthwise_conv2d_s8(const DepthwiseConv2dParams& params, const int8_t* input, const int8_t* weights,
                         const int32_t* bias, const int32_t* multipliers, const int32_t* shifts,
                         int8_t* output) {
    const int32_t channels = params.input.channels;
    const int32_t outputs = params.output.channels;
    const int32_t copies = outputs / channels;
    for_each_window(params, [&](int32_t n, Pair corner) {
        const int8_t* image = input + n * pixels(params.input) * channels;
        for (int32_t o = 0; o < outputs; ++o) {
            const int8_t* const channel = image + o / copies;
            int32_t sum = bias != nullptr ? bias[o] : 0;
            for_each_tap(params.window, params.input, corner, [&](int32_t pixel, int32_t tap) {
                sum += (channel[pixel * channels] + params.input_offset) * weights[tap * outputs + o];
            });
            *output++ = to_int8(sum, multipliers[o], shifts[o], params.epilogue);
        }
    });
}

}  // namespace mcu::kernels
