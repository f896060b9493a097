// Means and sums of windows over int8 images [batch][height][width][channels]: resample.h where all weights
// of an axis are the same, no window leaves the image and the rounding of a line is exact.
//
//   output = requantize(doubled_bias + factor * sum of q), see dsp_requantize.h: the form `half_away`
//
// factor is twice the product of both weights, and the input's zero point is in the bias. The specializer
// (kernels/resampling.py) counts rows or columns that no window joins as channels or as images, so
// that a mean over time of [time][features] is one over rows of as many channels.
//
// Exact, equal to resample.h. Instructions for four inputs: Helium 1.5 (channels) or 1 (neighbours in a row),
// DSP 5, with the loop.

#pragma once

#include <cstdint>

#include "mcu/kernels/dsp_requantize.h"
#include "mcu/kernels/image.h"

namespace mcu::kernels {

struct MeanParams {
    int32_t batch;
    ImageSize input;
    ImageSize output;
    Pair taps;  // rows and columns of a window
    Pair stride;
    int32_t factor;
    DspScale scale;
};

// The pixels of a window, `column` bytes apart; `rows` runs of them, `row` bytes apart.
struct MeanWindow {
    int32_t rows;
    int32_t columns;
    int32_t row;
    int32_t column;
};

// A window of one column is a run of its rows.
inline MeanWindow mean_window(const MeanParams& params) {
    const int32_t column = params.input.channels;
    const int32_t row = params.input.width * column;
    return params.taps.x == 1 ? MeanWindow{1, params.taps.y, 0, row}
                              : MeanWindow{params.taps.y, params.taps.x, row, column};
}

// Calls function(first) for each window in memory order.
template <typename Function>
inline void for_each_mean(const MeanParams& params, const int8_t* input, const Function& function) {
    const int32_t pixel = params.input.channels;
    const int32_t row = params.input.width * pixel;
    for (int32_t n = params.batch; n > 0; --n, input += params.input.height * row) {
        const int8_t* top = input;
        for (int32_t y = params.output.height; y > 0; --y, top += params.stride.y * row) {
            const int8_t* first = top;
            for (int32_t x = params.output.width; x > 0; --x, first += params.stride.x * pixel) {
                function(first);
            }
        }
    }
}

}  // namespace mcu::kernels
