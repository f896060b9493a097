// Layers of int16 activations and int8 weights for cores that multiply several pairs at once.
//
// A window's part inside the image is taken as runs: rows (or pixels, where they are apart) whose elements
// lie together in the image and in the weights alike. Nothing is copied, and weights stay as the program has
// them. A Core gives
//
//   Core::dots<R, O>(x, w, count, sums)      sums[r][o] += sum over i < count of x[r][i] * w[o][i]
//
// Two pixels (or rows) run with two outputs, one with four.

#pragma once

#include <cstdint>

#include "mcu/kernels/conv2d_s16.h"
#include "mcu/kernels/linear_s16.h"

namespace mcu::kernels::runs {

// Elements whose products of 16 and 8 bits add up to less than 2^31.
constexpr int32_t kPart = 496;

struct Constants {
    const int8_t* weights;
    const int32_t* bias;
    const int32_t* multipliers;
    const int32_t* shifts;
};

inline int16_t finished(int32_t sum, int32_t multiplier, int32_t shift, const BoundsS16& bounds) {
    return high_to_int16(sum, multiplier, shift, bounds);
}

inline int16_t finished(int64_t sum, int32_t multiplier, int32_t shift, const BoundsS16& bounds) {
    return to_int16(sum, multiplier, shift, bounds);
}

template <typename Core, int R, int O>
inline __attribute__((always_inline)) void accumulate(const int16_t* const (&x)[R],
                                                      const int8_t* const (&w)[O], int32_t count,
                                                      int32_t (&sums)[R][O]) {
    Core::dots(x, w, count, sums);
}

template <typename Core, int R, int O>
inline void accumulate(const int16_t* const (&x)[R], const int8_t* const (&w)[O], int32_t count,
                       int64_t (&sums)[R][O]) {
    for (int32_t at = 0; at < count; at += kPart) {
        const int16_t* from[R];
        const int8_t* taps[O];
        int32_t parts[R][O];
        for (int r = 0; r < R; ++r) {
            from[r] = x[r] + at;
        }
        for (int o = 0; o < O; ++o) {
            taps[o] = w[o] + at;
            for (int r = 0; r < R; ++r) {
                parts[r][o] = 0;
            }
        }
        Core::dots(from, taps, count - at < kPart ? count - at : kPart, parts);
        for (int r = 0; r < R; ++r) {
            for (int o = 0; o < O; ++o) {
                sums[r][o] += parts[r][o];
            }
        }
    }
}

// The runs of a window; x_ and w_ are elements from one to the next in the image and in a filter.
struct Runs {
    const int16_t* first;
    int32_t weights;  // where in the filter the first run begins
    int32_t rows;
    int32_t taps;
    int32_t count;
    int32_t x_row;
    int32_t w_row;
    int32_t x_tap;
    int32_t w_tap;
};

// O outputs of R pixels, `apart` elements from one another.
template <typename Core, typename Sum, int R, int O>
inline void outputs(const Runs& runs, int32_t apart, const Constants& constants, int32_t filter, int32_t o,
                    const BoundsS16& bounds, int16_t* output, int32_t pitch) {
    Sum sums[R][O];
    for (int r = 0; r < R; ++r) {
        for (int k = 0; k < O; ++k) {
            sums[r][k] = constants.bias[o + k];
        }
    }
    for (int32_t row = 0; row < runs.rows; ++row) {
        for (int32_t tap = 0; tap < runs.taps; ++tap) {
            const int16_t* x[R];
            const int8_t* w[O];
            for (int r = 0; r < R; ++r) {
                x[r] = runs.first + r * apart + row * runs.x_row + tap * runs.x_tap;
            }
            for (int k = 0; k < O; ++k) {
                w[k] =
                    constants.weights + (o + k) * filter + runs.weights + row * runs.w_row + tap * runs.w_tap;
            }
            accumulate<Core>(x, w, runs.count, sums);
        }
    }
    for (int r = 0; r < R; ++r) {
        for (int k = 0; k < O; ++k) {
            output[r * pitch + o + k] =
                finished(sums[r][k], constants.multipliers[o + k], constants.shifts[o + k], bounds);
        }
    }
}

// All outputs from `begin` to `end` of R pixels.
template <typename Core, typename Sum, int R>
inline void pixels(const Runs& runs, int32_t apart, const Constants& constants, int32_t filter, int32_t begin,
                   int32_t end, const BoundsS16& bounds, int16_t* output, int32_t pitch) {
    constexpr int kOutputs = R == 1 ? 4 : 2;
    int32_t o = begin;
    for (; o + kOutputs <= end; o += kOutputs) {
        outputs<Core, Sum, R, kOutputs>(runs, apart, constants, filter, o, bounds, output, pitch);
    }
    for (; o < end; ++o) {
        outputs<Core, Sum, R, 1>(runs, apart, constants, filter, o, bounds, output, pitch);
    }
}

template <typename Core, typename Sum>
void linear(const LinearS16Params& params, const int16_t* input, const Constants& constants,
            int16_t* output) {
    const int32_t inputs = params.inputs;
    const int32_t made = params.outputs;
    int32_t r = 0;
    for (; r + 2 <= params.rows; r += 2, input += 2 * inputs, output += 2 * made) {
        const Runs runs = {input, 0, 1, 1, inputs, 0, 0, 0, 0};
        pixels<Core, Sum, 2>(runs, inputs, constants, inputs, 0, made, params.bounds, output, made);
    }
    if (r < params.rows) {
        const Runs runs = {input, 0, 1, 1, inputs, 0, 0, 0, 0};
        pixels<Core, Sum, 1>(runs, 0, constants, inputs, 0, made, params.bounds, output, made);
    }
}

// The first tap of a window at `origin` inside an image of `size` elements, and how many there are.
struct Inside {
    int32_t first;
    int32_t count;

    Inside(int32_t origin, int32_t taps, int32_t dilation, int32_t size) {
        first = origin < 0 ? (dilation - 1 - origin) / dilation : 0;
        const int32_t end = origin >= size ? 0 : (size - 1 - origin) / dilation + 1;
        count = (end < taps ? end : taps) - first;
    }
};

inline Runs runs_at(const Conv2dS16Params& params, const int16_t* image, Pair origin) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const int32_t depth = channels / params.groups;
    const int32_t pitch = params.input.width * channels;
    const Inside y(origin.y, window.size.y, window.dilation.y, params.input.height);
    const Inside x(origin.x, window.size.x, window.dilation.x, params.input.width);
    const bool together = window.dilation.x == 1 && params.groups == 1;
    return {
        image + (origin.y + y.first * window.dilation.y) * pitch +
            (origin.x + x.first * window.dilation.x) * channels,
        (y.first * window.size.x + x.first) * depth,
        x.count > 0 ? y.count : 0,
        together ? 1 : x.count,
        together ? x.count * depth : depth,
        window.dilation.y * pitch,
        window.size.x * depth,
        window.dilation.x * channels,
        depth,
    };
}

template <typename Core, typename Sum>
void conv2d(const Conv2dS16Params& params, const int16_t* input, const Constants& constants,
            int16_t* output) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const int32_t depth = channels / params.groups;
    const int32_t made = params.output.channels;
    const int32_t group = made / params.groups;
    const int32_t filter = window.size.y * window.size.x * depth;
    const int32_t apart = window.stride.x * channels;
    for (int32_t n = 0; n < params.batch; ++n) {
        const int16_t* const image = input + n * params.input.height * params.input.width * channels;
        for (int32_t oy = 0; oy < params.output.height; ++oy) {
            int32_t together;
            for (int32_t ox = 0; ox < params.output.width; ox += together, output += together * made) {
                const Pair origin = {oy * window.stride.y - window.padding.y,
                                     ox * window.stride.x - window.padding.x};
                Runs runs = runs_at(params, image, origin);
                // Neighbours that are both inside have the same runs.
                const int32_t last = origin.x + window.stride.x + (window.size.x - 1) * window.dilation.x;
                together = origin.x >= 0 && last < params.input.width && ox + 1 < params.output.width ? 2 : 1;
                for (int32_t g = 0; g < params.groups; ++g, runs.first += depth) {
                    const auto kernel = together == 2 ? pixels<Core, Sum, 2> : pixels<Core, Sum, 1>;
                    kernel(runs, apart, constants, filter, g * group, (g + 1) * group, params.bounds, output,
                           made);
                }
            }
        }
    }
}

}  // namespace mcu::kernels::runs

// The kernels of a core.
#define MCU_RUNS_S16_LINEAR(Core)                                                                       \
    void linear_s16(const LinearS16Params& params, const int16_t* input, const int8_t* weights,         \
                    const int32_t* bias, const int32_t* multipliers, const int32_t* shifts,             \
                    int16_t* output) {                                                                  \
        const auto kernel = params.is_long ? runs::linear<Core, int64_t> : runs::linear<Core, int32_t>; \
        kernel(params, input, {weights, bias, multipliers, shifts}, output);                            \
    }
#define MCU_RUNS_S16_CONV2D(Core)                                                                       \
    void conv2d_s16(const Conv2dS16Params& params, const int16_t* input, const int8_t* weights,         \
                    const int32_t* bias, const int32_t* multipliers, const int32_t* shifts,             \
                    int16_t* output) {                                                                  \
        const auto kernel = params.is_long ? runs::conv2d<Core, int64_t> : runs::conv2d<Core, int32_t>; \
        kernel(params, input, {weights, bias, multipliers, shifts}, output);                            \
    }
