#include "mcu/kernels/depthwise_s16.h"

#include "mcu/kernels/windows_s16.h"

namespace mcu::kernels {

void depthwise_s16(const Conv2dS16Params& params, const int16_t* input, const int8_t* weights,
                   const int32_t* bias, const int32_t* multipliers, const int32_t* shifts, int16_t* output) {
    const int32_t channels = params.input.channels;
    for_each_window(params, input, weights, output, [&](const ClippedWindowS16& window, int16_t* to) {
        for (int32_t c = 0; c < channels; ++c) {
            to[c] =
                to_int16(one_channel(window, channels, c, bias[c]), multipliers[c], shifts[c], params.bounds);
        }
    });
}

}  // namespace mcu::kernels
