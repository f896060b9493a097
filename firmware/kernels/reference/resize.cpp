#include "mcu/kernels/resize.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "mcu/kernels/math_f32.h"

namespace mcu::kernels {
namespace {

int32_t nearest(int32_t at, float scale, int32_t size) {
    return std::min(static_cast<int32_t>(math::floor(static_cast<float>(at) * scale)), size - 1);
}

// All channels of a pixel.
template <typename Number>
inline void copy_pixel(const Planes& in, const Number* from, const Planes& out, Number* to) {
    if (in.channel_stride == 1 && out.channel_stride == 1) {
        std::memcpy(to, from, static_cast<std::size_t>(in.channels) * sizeof(Number));
        return;
    }
    for (int32_t c = in.channels; c > 0; --c, from += in.channel_stride, to += out.channel_stride) {
        *to = *from;
    }
}

template <typename Number>
void resize_nearest(const ResizeParams& params, const Number* input, Number* output) {
    const Planes in = params.input;
    Planes pixels = params.output;
    pixels.channels = 1;
    for_each_pixel(pixels, [&](int32_t n, int32_t, int32_t z, int32_t y, int32_t x) {
        const int32_t row = nearest(y, params.scale[0], in.rows);
        const int32_t column = nearest(x, params.scale[1], in.columns);
        copy_pixel(in, input + pixel_offset(in, n, 0, z, row, column), pixels,
                   output + pixel_offset(pixels, n, 0, z, y, x));
    });
}

// Two neighbours along an axis, and the weight of the second.
struct Between {
    int32_t first;
    int32_t second;
    float weight;
};

Between between(int32_t at, float scale, bool align_corners, int32_t size) {
    const auto position = static_cast<float>(at);
    const float source = align_corners ? position * scale : std::max((position + 0.5f) * scale - 0.5f, 0.0f);
    const int32_t first = std::min(static_cast<int32_t>(source), size - 1);
    const float weight = std::min(std::max(source - static_cast<float>(first), 0.0f), 1.0f);
    return {first, std::min(first + 1, size - 1), weight};
}

}  // namespace

void resize_nearest_u8(const ResizeParams& params, const uint8_t* input, uint8_t* output) {
    resize_nearest(params, input, output);
}

void resize_nearest_s8(const ResizeParams& params, const int8_t* input, int8_t* output) {
    resize_nearest(params, input, output);
}

void resize_nearest_s16(const ResizeParams& params, const int16_t* input, int16_t* output) {
    resize_nearest(params, input, output);
}

void resize_nearest_f32(const ResizeParams& params, const float* input, float* output) {
    resize_nearest(params, input, output);
}

void resize_bilinear_f32(const ResizeParams& params, const float* input, float* output) {
    const Planes& in = params.input;
    for_each_pixel(params.output, [&](int32_t n, int32_t c, int32_t z, int32_t y, int32_t x) {
        const Between row = between(y, params.scale[0], params.align_corners, in.rows);
        const Between column = between(x, params.scale[1], params.align_corners, in.columns);
        const auto across = [&](int32_t at) {
            const float left = input[pixel_offset(in, n, c, z, at, column.first)];
            const float right = input[pixel_offset(in, n, c, z, at, column.second)];
            return left * (1.0f - column.weight) + right * column.weight;
        };
        output[pixel_offset(params.output, n, c, z, y, x)] =
            across(row.first) * (1.0f - row.weight) + across(row.second) * row.weight;
    });
}

}  // namespace mcu::kernels
