#include "mcu/kernels/conv_f32.h"

namespace mcu::kernels {
namespace {

// Depth, row or column of the input under kernel position `k` for position `at` of the output, or -1.
int32_t under_conv(const ConvF32Params& params, int axis, int32_t at, int32_t k, int32_t size) {
    const int32_t found = at * params.stride[axis] + k * params.dilation[axis] - params.padding[axis];
    return found >= 0 && found < size ? found : -1;
}

int32_t under_transpose(const ConvF32Params& params, int axis, int32_t at, int32_t k, int32_t size) {
    const int32_t scaled = at + params.padding[axis] - k * params.dilation[axis];
    if (scaled < 0 || scaled % params.stride[axis] != 0) return -1;
    const int32_t found = scaled / params.stride[axis];
    return found < size ? found : -1;
}

template <typename Under>
void convolve(const ConvF32Params& params, const float* input, const float* weight, const float* bias,
              float* output, const Under& under) {
    const Planes& in = params.input;
    const int32_t* const w = params.weight_strides;
    const int32_t in_channels = in.channels / params.groups;
    const int32_t out_channels = params.output.channels / params.groups;
    for_each_pixel(params.output, [&](int32_t n, int32_t o, int32_t z, int32_t y, int32_t x) {
        const int32_t group = o / out_channels;
        const float* const filter = weight + group * w[0] + o % out_channels * w[1];
        float sum = 0.0f;
        for (int32_t i = 0; i < in_channels; ++i) {
            const float* const plane = input + plane_offset(in, n, group * in_channels + i);
            for (int32_t d = 0; d < params.kernel[0]; ++d) {
                const int32_t depth = under(params, 0, z, d, in.depth);
                for (int32_t r = 0; depth >= 0 && r < params.kernel[1]; ++r) {
                    const int32_t row = under(params, 1, y, r, in.rows);
                    for (int32_t c = 0; row >= 0 && c < params.kernel[2]; ++c) {
                        const int32_t column = under(params, 2, x, c, in.columns);
                        if (column < 0) continue;
                        sum += plane[offset_in_plane(in, depth, row, column)] *
                               filter[i * w[2] + d * w[3] + r * w[4] + c * w[5]];
                    }
                }
            }
        }
        output[pixel_offset(params.output, n, o, z, y, x)] = bias != nullptr ? sum + bias[o] : sum;
    });
}

}  // namespace

void conv_f32(const ConvF32Params& params, const float* input, const float* weight, const float* bias,
              float* output) {
    convolve(params, input, weight, bias, output, under_conv);
}

void conv_transpose_f32(const ConvF32Params& params, const float* input, const float* weight,
                        const float* bias, float* output) {
    convolve(params, input, weight, bias, output, under_transpose);
}

}  // namespace mcu::kernels
