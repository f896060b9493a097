#include "mcu/kernels/grid_sample.h"

#include <algorithm>

#include "mcu/kernels/math_f32.h"

namespace mcu::kernels {
namespace {

// A coordinate from -1 to 1 in pixels.
float in_pixels(float coordinate, int32_t size, bool align_corners) {
    const auto pixels = static_cast<float>(size);
    if (align_corners) return (coordinate + 1.0f) / 2.0f * (pixels - 1.0f);
    return ((coordinate + 1.0f) * pixels - 1.0f) / 2.0f;
}

float limited(float pixel, int32_t size) {
    return std::min(static_cast<float>(size - 1), std::max(pixel, 0.0f));
}

// Reflected at `low` / 2 and `high` / 2 until it lies between.
float reflected(float pixel, int32_t low, int32_t high) {
    if (low == high) return 0.0f;
    const float start = static_cast<float>(low) / 2.0f;
    const float span = static_cast<float>(high - low) / 2.0f;
    const float distance = math::abs(pixel - start);
    const float rest = math::fmod(distance, span);
    const bool is_even = math::fmod(math::floor(distance / span), 2.0f) == 0.0f;
    return is_even ? rest + start : span - rest + start;
}

// A position in pixels where the padding puts it.
float padded(const GridSampleParams& params, float pixel, int32_t size) {
    switch (static_cast<GridPadding>(params.padding)) {
        case GridPadding::border:
            return limited(pixel, size);
        case GridPadding::reflection:
            return limited(params.align_corners ? reflected(pixel, 0, 2 * (size - 1))
                                                : reflected(pixel, -1, 2 * size - 1),
                           size);
        default:
            return pixel;
    }
}

// A whole number of pixels as an index; what no image holds, a NaN among it, becomes -1.
int32_t index_of(float pixel, int32_t size) {
    return pixel >= 0.0f && pixel < static_cast<float>(size) ? static_cast<int32_t>(pixel) : -1;
}

// Entries along one axis and their weights.
template <int32_t Count>
struct Taps {
    int32_t at[Count];
    float weight[Count];
};

Taps<2> linear_taps(float pixel, int32_t size) {
    const float floor = math::floor(pixel);
    return {{index_of(floor, size), index_of(floor + 1.0f, size)}, {floor + 1.0f - pixel, pixel - floor}};
}

Taps<1> nearest_tap(float pixel, int32_t size) {
    return {{index_of(math::rint(pixel), size)}, {1.0f}};
}

float cubic_inside(float x) {
    constexpr float a = -0.75f;
    return ((a + 2.0f) * x - (a + 3.0f)) * x * x + 1.0f;
}

float cubic_outside(float x) {
    constexpr float a = -0.75f;
    return ((a * x - 5.0f * a) * x + 8.0f * a) * x - 4.0f * a;
}

Taps<4> cubic_taps(const GridSampleParams& params, float pixel, int32_t size) {
    const float floor = math::floor(pixel);
    const float t = pixel - floor;
    Taps<4> taps = {
        {}, {cubic_outside(t + 1.0f), cubic_inside(t), cubic_inside(1.0f - t), cubic_outside(2.0f - t)}};
    for (int32_t i = 0; i < 4; ++i) {
        taps.at[i] = index_of(padded(params, floor + static_cast<float>(i - 1), size), size);
    }
    return taps;
}

// The sum over all combinations of taps along depth, rows and columns inside the image.
template <int32_t Depth, int32_t Count>
float blend(const Planes& in, const float* plane, const Taps<Depth>& z, const Taps<Count>& y,
            const Taps<Count>& x) {
    float sum = 0.0f;
    for (int32_t d = 0; d < Depth; ++d) {
        for (int32_t r = 0; r < Count; ++r) {
            for (int32_t c = 0; c < Count; ++c) {
                if (z.at[d] < 0 || y.at[r] < 0 || x.at[c] < 0) continue;
                const float value = plane[offset_in_plane(in, z.at[d], y.at[r], x.at[c])];
                sum += value * (x.weight[c] * y.weight[r] * z.weight[d]);
            }
        }
    }
    return sum;
}

// Call `sample(plane, pixels)` for each element of the output; pixels along columns, rows, depth.
template <typename Sample>
void for_each_position(const GridSampleParams& params, const float* input, const float* grid, float* output,
                       const Sample& sample) {
    const Planes& in = params.input;
    const Planes& out = params.output;
    const int32_t sizes[3] = {in.columns, in.rows, in.depth};
    for_each_pixel(out, [&](int32_t n, int32_t c, int32_t z, int32_t y, int32_t x) {
        const int32_t position = ((n * out.depth + z) * out.rows + y) * out.columns + x;
        float pixels[3] = {};
        for (int32_t axis = 0; axis < params.axes; ++axis) {
            pixels[axis] = in_pixels(grid[position * params.axes + axis], sizes[axis], params.align_corners);
        }
        output[pixel_offset(out, n, c, z, y, x)] = sample(input + plane_offset(in, n, c), pixels);
    });
}

}  // namespace

void grid_bilinear_f32(const GridSampleParams& params, const float* input, const float* grid, float* output) {
    const Planes& in = params.input;
    for_each_position(params, input, grid, output, [&](const float* plane, const float* pixels) {
        const auto x = linear_taps(padded(params, pixels[0], in.columns), in.columns);
        const auto y = linear_taps(padded(params, pixels[1], in.rows), in.rows);
        if (params.axes == 2) return blend(in, plane, Taps<1>{{0}, {1.0f}}, y, x);
        return blend(in, plane, linear_taps(padded(params, pixels[2], in.depth), in.depth), y, x);
    });
}

void grid_nearest_f32(const GridSampleParams& params, const float* input, const float* grid, float* output) {
    const Planes& in = params.input;
    for_each_position(params, input, grid, output, [&](const float* plane, const float* pixels) {
        const auto x = nearest_tap(padded(params, pixels[0], in.columns), in.columns);
        const auto y = nearest_tap(padded(params, pixels[1], in.rows), in.rows);
        const auto z = params.axes == 2 ? Taps<1>{{0}, {1.0f}}
                                        : nearest_tap(padded(params, pixels[2], in.depth), in.depth);
        return blend(in, plane, z, y, x);
    });
}

void grid_bicubic_f32(const GridSampleParams& params, const float* input, const float* grid, float* output) {
    const Planes& in = params.input;
    for_each_position(params, input, grid, output, [&](const float* plane, const float* pixels) {
        const auto x = cubic_taps(params, pixels[0], in.columns);
        const auto y = cubic_taps(params, pixels[1], in.rows);
        return blend(in, plane, Taps<1>{{0}, {1.0f}}, y, x);
    });
}

}  // namespace mcu::kernels
