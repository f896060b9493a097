#include "mcu/kernels/resample_s16.h"

#include "mcu/kernels/resample_windows.h"

namespace mcu::kernels {
namespace {

constexpr int32_t kLineShift = 7;

// The sum of one output element; `first` is the top left element of its run.
int64_t weighted_sum(const ResampleS16Params& params, const int16_t* first, const int16_t* rows,
                     const int16_t* columns) {
    const int32_t channels = params.input.channels;
    int64_t sum = 0;
    for (int32_t s = 0; s < params.taps.y; ++s) {
        int32_t line = 1 << (kLineShift - 1);
        for (int32_t t = 0; t < params.taps.x; ++t) {
            line += columns[t] * first[t * channels];
        }
        sum += static_cast<int64_t>(line >> kLineShift) * rows[s];
        first += params.input.width * channels;
    }
    return sum;
}

}  // namespace

void resample_s16(const ResampleS16Params& params, const int16_t* input, const int32_t* row_starts,
                  const int16_t* row_weights, const int32_t* column_starts, const int16_t* column_weights,
                  int16_t* output) {
    const int32_t channels = params.input.channels;
    const ResampleTables tables = {row_starts, row_weights, column_starts, column_weights};
    for_each_window(params, input, tables,
                    [&](const int16_t* first, const int16_t* rows, const int16_t* columns) {
                        for (int32_t c = 0; c < channels; ++c) {
                            const int64_t sum = weighted_sum(params, first + c, rows, columns);
                            *output++ = to_int16(sum, params.multiplier, params.shift, params.bounds);
                        }
                    });
}

}  // namespace mcu::kernels
