// The windows of resample.h and resample_s16.h, one for each pixel of the output.

#pragma once

#include "mcu/kernels/resample.h"

namespace mcu::kernels {

// The tables of resample.h, from the output's first row on.
struct ResampleTables {
    const int32_t* row_starts;
    const int16_t* row_weights;
    const int32_t* column_starts;
    const int16_t* column_weights;
    int32_t above = 0;  // rows that they know above the input's first one
};

// Calls function(first, rows, columns) for each pixel of the output in memory order: the first element of its
// window, and the weights of rows and columns.
template <typename Params, typename Element, typename Function>
inline void for_each_window(const Params& params, const Element* input, const ResampleTables& tables,
                            const Function& function) {
    const int32_t channels = params.input.channels;
    const int32_t pitch = params.input.width * channels;
    for (int32_t n = params.batch; n > 0; --n, input += params.input.height * pitch) {
        const int16_t* rows = tables.row_weights;
        for (int32_t y = 0; y < params.output.height; ++y, rows += params.taps.y) {
            const Element* const top = input + (tables.row_starts[y] - tables.above) * pitch;
            const int16_t* columns = tables.column_weights;
            for (int32_t x = 0; x < params.output.width; ++x, columns += params.taps.x) {
                function(top + tables.column_starts[x] * channels, rows, columns);
            }
        }
    }
}

}  // namespace mcu::kernels
