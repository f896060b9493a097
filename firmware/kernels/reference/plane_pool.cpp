#include "mcu/kernels/plane_pool.h"

#include <algorithm>

namespace mcu::kernels {
namespace {

// Call `visit(row, column)` for the entries of the window of output position (y, x) inside the image.
template <typename Visit>
void for_each_entry(const PlanePoolParams& params, int32_t y, int32_t x, const Visit& visit) {
    for (int32_t r = 0; r < params.kernel[0]; ++r) {
        const int32_t row = y * params.stride[0] + r * params.dilation[0] - params.padding[0];
        if (row < 0 || row >= params.input.rows) continue;
        for (int32_t c = 0; c < params.kernel[1]; ++c) {
            const int32_t column = x * params.stride[1] + c * params.dilation[1] - params.padding[1];
            if (column >= 0 && column < params.input.columns) visit(row, column);
        }
    }
}

template <typename Number>
struct Found {
    Number value;
    int64_t position;
};

template <typename Number, typename Out, typename Choose>
void max_pool(const PlanePoolParams& params, const Number* input, Out* output, const Choose& choose) {
    const Planes& in = params.input;
    for_each_pixel(params.output, [&](int32_t n, int32_t c, int32_t y, int32_t x) {
        const Number* const plane = input + plane_offset(in, n, c);
        Found<Number> best = {0, -1};
        for_each_entry(params, y, x, [&](int32_t row, int32_t column) {
            const Number value = plane[row * in.row_stride + column * in.column_stride];
            // Only a NaN differs from itself: it wins.
            if (best.position < 0 || value > best.value || value != value) {
                best = {value, int64_t{row} * in.columns + column};
            }
        });
        output[pixel_offset(params.output, n, c, y, x)] = choose(best);
    });
}

// Entries of the window along one axis inside the padded image.
int32_t padded_entries(const PlanePoolParams& params, int axis, int32_t at, int32_t size) {
    const int32_t start = at * params.stride[axis] - params.padding[axis];
    return std::min(start + params.kernel[axis], size + params.padding[axis]) - start;
}

int32_t first_of(int32_t at, int32_t in, int32_t out) {
    return at * in / out;
}
int32_t end_of(int32_t at, int32_t in, int32_t out) {
    return ((at + 1) * in + out - 1) / out;
}

}  // namespace

void max_pool_s8(const PlanePoolParams& params, const int8_t* input, int8_t* output) {
    max_pool(params, input, output, [](Found<int8_t> best) { return best.value; });
}

void max_pool_f32(const PlanePoolParams& params, const float* input, float* output) {
    max_pool(params, input, output, [](Found<float> best) { return best.value; });
}

void max_pool_indices_s8(const PlanePoolParams& params, const int8_t* input, int64_t* output) {
    max_pool(params, input, output, [](Found<int8_t> best) { return best.position; });
}

void max_pool_indices_f32(const PlanePoolParams& params, const float* input, int64_t* output) {
    max_pool(params, input, output, [](Found<float> best) { return best.position; });
}

void avg_pool_f32(const PlanePoolParams& params, const float* input, float* output) {
    const Planes& in = params.input;
    for_each_pixel(params.output, [&](int32_t n, int32_t c, int32_t y, int32_t x) {
        const float* const plane = input + plane_offset(in, n, c);
        float sum = 0.0f;
        int32_t count = 0;
        for_each_entry(params, y, x, [&](int32_t row, int32_t column) {
            sum += plane[row * in.row_stride + column * in.column_stride];
            ++count;
        });
        if (params.count_padding) {
            count = padded_entries(params, 0, y, in.rows) * padded_entries(params, 1, x, in.columns);
        }
        if (params.divisor != 0) count = params.divisor;
        output[pixel_offset(params.output, n, c, y, x)] = sum / static_cast<float>(count);
    });
}

void adaptive_avg_pool_f32(const AdaptivePoolParams& params, const float* input, float* output) {
    const Planes& in = params.input;
    const Planes& out = params.output;
    for_each_pixel(out, [&](int32_t n, int32_t c, int32_t y, int32_t x) {
        const int32_t bottom = end_of(y, in.rows, out.rows);
        const int32_t right = end_of(x, in.columns, out.columns);
        float sum = 0.0f;
        int32_t count = 0;
        for (int32_t row = first_of(y, in.rows, out.rows); row < bottom; ++row) {
            for (int32_t column = first_of(x, in.columns, out.columns); column < right; ++column) {
                sum += input[pixel_offset(in, n, c, row, column)];
                ++count;
            }
        }
        output[pixel_offset(out, n, c, y, x)] = sum / static_cast<float>(count);
    });
}

}  // namespace mcu::kernels
