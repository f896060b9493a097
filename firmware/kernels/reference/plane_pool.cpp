#include "mcu/kernels/plane_pool.h"

#include <algorithm>

#include "mcu/kernels/bits.h"

namespace mcu::kernels {
namespace {

// Added to a float of less than 2^22 it leaves the nearest integer in the lowest bits (quantize.cpp).
constexpr float kRound = 1.5F * (1 << 23);

// The window of one output element along one axis: `count` positions from `first`, `step` apart, of which
// those outside the image do not take part.
struct Range {
    int32_t first;
    int32_t count;
    int32_t step;
};

Range window(const PlanePoolParams& params, int axis, int32_t at) {
    return {at * params.stride[axis] - params.padding[axis], params.kernel[axis], params.dilation[axis]};
}

Range share(int32_t at, int32_t in, int32_t out) {
    const int32_t first = at * in / out;
    return {first, ((at + 1) * in + out - 1) / out - first, 1};
}

// Call `visit(z, row, column)` for the entries of a window inside the image, in the order of the plane.
template <typename Visit>
void for_each_entry(const Planes& in, const Range (&axes)[3], const Visit& visit) {
    const auto along = [](const Range& range, int32_t size, const auto& inside) {
        for (int32_t k = 0; k < range.count; ++k) {
            const int32_t at = range.first + k * range.step;
            if (at >= 0 && at < size) inside(at);
        }
    };
    along(axes[0], in.depth, [&](int32_t z) {
        along(axes[1], in.rows, [&](int32_t row) {
            along(axes[2], in.columns, [&](int32_t column) { visit(z, row, column); });
        });
    });
}

// Call `visit(plane, axes, position)` for every element of the output: where the input's plane starts in
// memory, the window along depth, rows and columns, and where the element goes.
template <typename Visit>
void for_each_window(const PlanePoolParams& params, const Visit& visit) {
    for_each_pixel(params.output, [&](int32_t n, int32_t c, int32_t z, int32_t y, int32_t x) {
        const Range axes[] = {window(params, 0, z), window(params, 1, y), window(params, 2, x)};
        visit(plane_offset(params.input, n, c), axes, pixel_offset(params.output, n, c, z, y, x));
    });
}

template <typename Visit>
void for_each_window(const AdaptivePoolParams& params, const Visit& visit) {
    const Planes& in = params.input;
    const Planes& out = params.output;
    for_each_pixel(out, [&](int32_t n, int32_t c, int32_t z, int32_t y, int32_t x) {
        const Range axes[] = {share(z, in.depth, out.depth), share(y, in.rows, out.rows),
                              share(x, in.columns, out.columns)};
        visit(plane_offset(in, n, c), axes, pixel_offset(out, n, c, z, y, x));
    });
}

template <typename Number>
struct Found {
    Number value;
    int64_t position;
};

template <typename Params, typename Number, typename Out, typename Choose>
void max_pool(const Params& params, const Number* input, Out* output, const Choose& choose) {
    const Planes& in = params.input;
    for_each_window(params, [&](int32_t plane, const Range(&axes)[3], int32_t position) {
        Found<Number> best = {0, -1};
        for_each_entry(in, axes, [&](int32_t z, int32_t row, int32_t column) {
            const Number value = input[plane + offset_in_plane(in, z, row, column)];
            // Only a NaN differs from itself: it wins.
            if (best.position < 0 || value > best.value || value != value) {
                best = {value, (int64_t{z} * in.rows + row) * in.columns + column};
            }
        });
        output[position] = choose(best);
    });
}

struct Sum {
    float value;
    int32_t count;
};

// `value_of(at)` is the float at an element of the plane.
template <typename ValueOf>
Sum sum_of(const Planes& in, const Range (&axes)[3], const ValueOf& value_of) {
    Sum sum = {0.0f, 0};
    for_each_entry(in, axes, [&](int32_t z, int32_t row, int32_t column) {
        sum.value += value_of(offset_in_plane(in, z, row, column));
        ++sum.count;
    });
    return sum;
}

// Entries of a window along one axis inside the padded image.
int32_t padded_entries(const PlanePoolParams& params, int axis, const Range& range, int32_t size) {
    return std::min(range.first + range.count, size + params.padding[axis]) - range.first;
}

// What the sum of a window is divided by.
int32_t divisor(const PlanePoolParams& params, const Range (&axes)[3], const Sum& sum) {
    if (params.divisor != 0) return params.divisor;
    if (!params.count_padding) return sum.count;
    const Planes& in = params.input;
    return padded_entries(params, 0, axes[0], in.depth) * padded_entries(params, 1, axes[1], in.rows) *
           padded_entries(params, 2, axes[2], in.columns);
}

int32_t divisor(const AdaptivePoolParams&, const Range (&)[3], const Sum& sum) {
    return sum.count;
}

// Call `write(position, mean)` for every element of the output; `read(at)` is an element of the input.
template <typename Params, typename Read, typename Write>
void average(const Params& params, const Read& read, const Write& write) {
    for_each_window(params, [&](int32_t plane, const Range(&axes)[3], int32_t position) {
        const Sum sum = sum_of(params.input, axes, [&](int32_t at) { return read(plane + at); });
        write(position, sum.value / static_cast<float>(divisor(params, axes, sum)));
    });
}

template <typename Params>
void average_quantized(const Params& params, const int8_t* input, int8_t* output) {
    const DequantizeParams& from = params.input;
    const QuantizeParams& to = params.output;
    const auto low = static_cast<float>(to.quant_min - to.zero_point);
    const auto high = static_cast<float>(to.quant_max - to.zero_point);
    average(
        params.pool, [&](int32_t at) { return static_cast<float>(input[at] - from.zero_point) * from.scale; },
        [&](int32_t position, float mean) {
            const float q = mean * to.inverse_scale;
            // As quantize_f32_s8: a NaN becomes quant_min, half to even.
            const float clamped = q > low ? (q < high ? q : high) : low;
            const int32_t nearest = bit_cast<int32_t>(clamped + kRound) - bit_cast<int32_t>(kRound);
            output[position] = static_cast<int8_t>(nearest + to.zero_point);
        });
}

}  // namespace

#define MCU_MAX_POOL(name, Params, suffix, type)                                                \
    void name##_##suffix(const Params& params, const type* input, type* output) {               \
        max_pool(params, input, output, [](const Found<type>& best) { return best.value; });    \
    }                                                                                           \
    void name##_indices_##suffix(const Params& params, const type* input, int64_t* output) {    \
        max_pool(params, input, output, [](const Found<type>& best) { return best.position; }); \
    }

MCU_MAX_POOL(max_pool, PlanePoolParams, s8, int8_t)
MCU_MAX_POOL(max_pool, PlanePoolParams, f32, float)
MCU_MAX_POOL(adaptive_max_pool, AdaptivePoolParams, s8, int8_t)
MCU_MAX_POOL(adaptive_max_pool, AdaptivePoolParams, f32, float)

void avg_pool_f32(const PlanePoolParams& params, const float* input, float* output) {
    average(
        params, [=](int32_t at) { return input[at]; },
        [=](int32_t position, float mean) { output[position] = mean; });
}

void adaptive_avg_pool_f32(const AdaptivePoolParams& params, const float* input, float* output) {
    average(
        params, [=](int32_t at) { return input[at]; },
        [=](int32_t position, float mean) { output[position] = mean; });
}

void avg_pool_quantized_s8(const QuantizedPoolParams& params, const int8_t* input, int8_t* output) {
    average_quantized(params, input, output);
}

void adaptive_avg_pool_quantized_s8(const QuantizedAdaptivePoolParams& params, const int8_t* input,
                                    int8_t* output) {
    average_quantized(params, input, output);
}

}  // namespace mcu::kernels
