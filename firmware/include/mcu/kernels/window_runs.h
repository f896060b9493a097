// Pools over images [batch][height][width][channels] of int8 or int16 as runs of outputs whose windows have
// as many pixels.
//
// Where the stride is one, pixels side by side are as good as the channels of one, so that few channels fill
// words and vectors too. A run is reduced some elements at once; its last ones may be made twice, from the
// same windows, so a row of outputs may be written only where its windows are not.

#pragma once

#include <cstdint>

#include "mcu/kernels/image.h"

namespace mcu::kernels {

// `count` outputs of `lanes` elements. Windows are `step` elements apart, their pixels `pixel`, their rows
// `pitch`.
template <typename T>
struct WindowRun {
    const T* first;
    int32_t rows;
    int32_t columns;
    int32_t pitch;
    int32_t pixel;
    int32_t lanes;
    int32_t count;
    int32_t step;
};

// The taps of a window that are inside of `size` elements, `dilation` apart from `origin` on.
struct TapsInside {
    int32_t first;
    int32_t count;
};

inline TapsInside taps_inside(int32_t origin, int32_t taps, int32_t dilation, int32_t size) {
    const int32_t first = origin < 0 ? (dilation - 1 - origin) / dilation : 0;
    const int32_t room = size - 1 - origin;
    const int32_t end = room >= (taps - 1) * dilation ? taps : (room < 0 ? 0 : room / dilation + 1);
    return {first, end > first ? end - first : 0};
}

// Calls reduce(run, output) for all outputs in memory order. `Params` are those of pool.h.
template <typename Params, typename T, typename Reduce>
inline void for_each_run(const Params& params, const T* input, T* output, const Reduce& reduce) {
    const ImageSize& size = params.input;
    const Window& window = params.window;
    const int32_t pixel = size.channels;
    const int32_t pitch = size.width * pixel;
    const int32_t reach = (window.size.x - 1) * window.dilation.x;
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t oy = 0; oy < params.output.height; ++oy) {
            const int32_t top = oy * window.stride.y - window.padding.y;
            const TapsInside y = taps_inside(top, window.size.y, window.dilation.y, size.height);
            const T* row = input + (n * size.height + top + y.first * window.dilation.y) * pitch;
            for (int32_t ox = 0, count = 1; ox < params.output.width; ox += count) {
                const int32_t left = ox * window.stride.x - window.padding.x;
                const TapsInside x = taps_inside(left, window.size.x, window.dilation.x, size.width);
                // Windows in the image's columns from here on. A stride of 0, of a mean, is the first again.
                const int32_t room = size.width - 1 - reach - left;
                const bool inside = left >= 0 && room >= 0;
                const int32_t more = window.stride.x == 0 ? params.output.width : room / window.stride.x;
                const int32_t rest = params.output.width - ox;
                count = inside ? (more + 1 < rest ? more + 1 : rest) : 1;
                const bool joined = window.stride.x == 1;
                reduce(
                    WindowRun<T>{row + (left + x.first * window.dilation.x) * pixel, y.count, x.count,
                                 window.dilation.y * pitch, window.dilation.x * pixel,
                                 joined ? count * pixel : pixel, joined ? 1 : count, window.stride.x * pixel},
                    output);
                output += count * pixel;
            }
        }
    }
}

// Each output by an operation on kTogether of them: start(), add(value, place), finish(value, place).
// `Columns` is the windows' number of them, 0 for any. Runs of fewer elements are at the operation's risk.
template <int32_t Columns, typename Operation, typename T>
[[gnu::noinline]] void reduce_run(const WindowRun<T>& run, const Operation& operation, T* output) {
    constexpr int32_t kTogether = Operation::kTogether;
    const Operation op = operation;
    const int32_t rows = run.rows;
    const int32_t pitch = run.pitch;
    const int32_t pixel = run.pixel;
    const int32_t columns = run.columns;
    const T* window = run.first;
    const int32_t last = run.lanes < kTogether ? 0 : run.lanes - kTogether;
    for (int32_t left = run.count; left > 0; --left, window += run.step, output += run.lanes) {
        for (int32_t done = 0; done < run.lanes; done += kTogether) {
            const int32_t here = done < last ? done : last;
            const T* at = window + here;
            auto value = op.start();
            for (int32_t y = rows; y > 0; --y, at += pitch) {
                const T* from = at;
                for (int32_t x = Columns > 0 ? Columns : columns; x > 0; --x, from += pixel) {
                    value = op.add(value, from);
                }
            }
            op.finish(value, output + here);
        }
    }
}

// By code of its own for windows of two and of three columns.
template <typename Operation, typename T>
inline void reduce_columns(const WindowRun<T>& run, const Operation& operation, T* output) {
    if (run.columns == 2) {
        reduce_run<2>(run, operation, output);
    } else if (run.columns == 3) {
        reduce_run<3>(run, operation, output);
    } else {
        reduce_run<0>(run, operation, output);
    }
}

}  // namespace mcu::kernels
