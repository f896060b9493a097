#include "mcu/kernels/transpose_conv2d.h"

namespace mcu::kernels {
namespace {

// The row or column of the input that stands `at` steps of one into the widened image, or -1.
int32_t source(int32_t at, int32_t stride, int32_t size) {
    return at >= 0 && at % stride == 0 && at / stride < size ? at / stride : -1;
}

int32_t dot(const int8_t* input, const int8_t* weights, int32_t count, int32_t input_offset) {
    int32_t sum = 0;
    for (int32_t i = 0; i < count; ++i) {
        sum += (input[i] + input_offset) * weights[i];
    }
    return sum;
}

// What reaches one output element; `at` is its place in the padded output.
int32_t window_sum(const TransposeConv2dParams& params, const int8_t* image, const int8_t* weights, Pair at) {
    const Window& window = params.window;
    const int32_t depth = params.input.channels;
    int32_t sum = 0;
    for (int32_t ky = 0; ky < window.size.y; ++ky) {
        const int32_t y = source(at.y - ky * window.dilation.y, window.stride.y, params.input.height);
        if (y < 0) {
            continue;
        }
        for (int32_t kx = 0; kx < window.size.x; ++kx) {
            const int32_t x = source(at.x - kx * window.dilation.x, window.stride.x, params.input.width);
            if (x < 0) {
                continue;
            }
            sum += dot(image + (y * params.input.width + x) * depth,
                       weights + (ky * window.size.x + kx) * depth, depth, params.input_offset);
        }
    }
    return sum;
}

}  // namespace

void transpose_conv2d_s8(const TransposeConv2dParams& params, const int8_t* input, const int8_t* weights,
                         const int32_t* bias, const int32_t* multipliers, const int32_t* shifts,
                         int8_t* output) {
    const Window& window = params.window;
    const int32_t filter = window.size.y * window.size.x * params.input.channels;
    for (int32_t n = 0; n < params.batch; ++n) {
        const int8_t* image = input + n * params.input.height * params.input.width * params.input.channels;
        for (int32_t oy = 0; oy < params.output.height; ++oy) {
            for (int32_t ox = 0; ox < params.output.width; ++ox) {
                const Pair at = {oy + window.padding.y, ox + window.padding.x};
                for (int32_t o = 0; o < params.output.channels; ++o) {
                    const int32_t sum =
                        (bias != nullptr ? bias[o] : 0) + window_sum(params, image, weights + o * filter, at);
                    *output++ = to_int8(sum, multipliers[o], shifts[o], params.epilogue);
                }
            }
        }
    }
}

}  // namespace mcu::kernels
