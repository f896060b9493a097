#include "mcu/kernels/transpose_conv2d_s16.h"

namespace mcu::kernels {
namespace {

// The input's place that a tap brings to `output`, or -1 where there is none.
int32_t place(int32_t output, int32_t tap, int32_t stride, int32_t size) {
    const int32_t from = output - tap;
    return from >= 0 && from % stride == 0 && from / stride < size ? from / stride : -1;
}

template <typename Sum>
Sum window_sum(const Conv2dS16Params& params, const int16_t* image, const int8_t* weights, int32_t oy,
               int32_t ox) {
    const Window& window = params.window;
    const int32_t depth = params.input.channels;
    Sum sum = 0;
    for (int32_t ky = 0; ky < window.size.y; ++ky) {
        const int32_t y =
            place(oy + window.padding.y, ky * window.dilation.y, window.stride.y, params.input.height);
        for (int32_t kx = 0; y >= 0 && kx < window.size.x; ++kx) {
            const int32_t x =
                place(ox + window.padding.x, kx * window.dilation.x, window.stride.x, params.input.width);
            const int16_t* const pixel = image + (y * params.input.width + x) * depth;
            const int8_t* const tap = weights + (ky * window.size.x + kx) * depth;
            for (int32_t i = 0; x >= 0 && i < depth; ++i) {
                sum += pixel[i] * tap[i];
            }
        }
    }
    return sum;
}

template <typename Sum>
void transpose_conv2d(const Conv2dS16Params& params, const int16_t* input, const int8_t* weights,
                      const int32_t* bias, const int32_t* multipliers, const int32_t* shifts,
                      int16_t* output) {
    const int32_t filter = params.window.size.y * params.window.size.x * params.input.channels;
    for (int32_t n = 0; n < params.batch; ++n) {
        const int16_t* image = input + n * params.input.height * params.input.width * params.input.channels;
        for (int32_t oy = 0; oy < params.output.height; ++oy) {
            for (int32_t ox = 0; ox < params.output.width; ++ox) {
                for (int32_t o = 0; o < params.output.channels; ++o) {
                    const Sum sum = bias[o] + window_sum<Sum>(params, image, weights + o * filter, oy, ox);
                    *output++ = to_int16(sum, multipliers[o], shifts[o], params.bounds);
                }
            }
        }
    }
}

}  // namespace

void transpose_conv2d_s16(const Conv2dS16Params& params, const int16_t* input, const int8_t* weights,
                          const int32_t* bias, const int32_t* multipliers, const int32_t* shifts,
                          int16_t* output) {
    const auto kernel = params.is_long ? transpose_conv2d<int64_t> : transpose_conv2d<int32_t>;
    kernel(params, input, weights, bias, multipliers, shifts, output);
}

}  // namespace mcu::kernels
