// resample.h with the requantization of dsp_requantize.h, form `half_away`, for constants that pass its
// limits.

#pragma once

#include "mcu/kernels/dsp_requantize.h"
#include "mcu/kernels/resample_windows.h"

namespace mcu::kernels {

struct RescaledResampleParams {
    ResampleParams windows;
    DspScale scale;
};

// A window: its first pixel, its weights, and what a line's sum starts from.
struct ResampleWindow {
    const int8_t* first;
    const int16_t* rows;
    const int16_t* columns;
    int32_t start;
};

// Calls function(window) for each pixel of the output in memory order.
template <typename Function>
inline void for_each_resampled(const ResampleParams& params, const int8_t* input, ResampleTables tables,
                               const Function& function) {
    tables.row_starts += params.first_row;
    tables.row_weights += params.first_row * params.taps.y;
    tables.above = params.above;
    for_each_window(params, input, tables,
                    [&](const int8_t* first, const int16_t* rows, const int16_t* columns) {
                        int32_t sum = 0;
                        for (int32_t t = 0; t < params.taps.x; ++t) {
                            sum += columns[t];
                        }
                        const int32_t half = 1 << 6;  // of a line's 7 bits
                        function(ResampleWindow{first, rows, columns, half - params.input_zero_point * sum});
                    });
}

}  // namespace mcu::kernels
