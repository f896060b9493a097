// resample.h with the requantization of dsp_rescale.h, form `ties`, for constants that pass its limits.

#pragma once

#include "mcu/kernels/dsp_rescale.h"
#include "mcu/kernels/resample.h"

namespace mcu::kernels {

struct RescaledResampleParams {
    ResampleParams windows;
    DspScale scale;
};

// The tables of resample.h.
struct ResampleTables {
    const int32_t* row_starts;
    const int16_t* row_weights;
    const int32_t* column_starts;
    const int16_t* column_weights;
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
inline void for_each_resampled(const ResampleParams& params, const int8_t* input,
                               const ResampleTables& tables, const Function& function) {
    const int32_t channels = params.input.channels;
    const int32_t pitch = params.input.width * channels;
    for (int32_t n = params.batch; n > 0; --n, input += params.input.height * pitch) {
        const int16_t* rows = tables.row_weights;
        for (int32_t y = 0; y < params.output.height; ++y, rows += params.taps.y) {
            const int8_t* const top = input + tables.row_starts[y] * pitch;
            const int16_t* columns = tables.column_weights;
            for (int32_t x = 0; x < params.output.width; ++x, columns += params.taps.x) {
                int32_t sum = 0;
                for (int32_t t = 0; t < params.taps.x; ++t) {
                    sum += columns[t];
                }
                const int32_t half = 1 << 6;  // of a line's 7 bits
                function(ResampleWindow{top + tables.column_starts[x] * channels, rows, columns,
                                        half - params.input_zero_point * sum});
            }
        }
    }
}

}  // namespace mcu::kernels
