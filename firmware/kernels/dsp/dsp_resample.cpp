#include "mcu/kernels/dsp_resample.h"

#include "requantize.h"

namespace mcu::kernels {
namespace {

// The sum of a channel; `kTaps` rows and columns, or (0) as many as there are.
template <int kTaps>
inline int32_t sum_of(const Pair& taps, const ResampleWindow& window, const int8_t* first, int32_t pixel_step,
                      int32_t row_step) {
    const int32_t rows = kTaps > 0 ? kTaps : taps.y;
    const int32_t columns = kTaps > 0 ? kTaps : taps.x;
    int32_t sum = 0;
    for (int32_t s = 0; s < rows; ++s, first += row_step) {
        int32_t line = window.start;
        const int8_t* pixel = first;
        for (int32_t t = 0; t < columns; ++t, pixel += pixel_step) {
            line += window.columns[t] * *pixel;
        }
        sum += window.rows[s] * (line >> 7);
    }
    return sum;
}

template <int kTaps>
void resample(const RescaledResampleParams& params, const int8_t* input, const ResampleTables& tables,
              int8_t* output) {
    const ResampleParams windows = params.windows;
    const DspScale scale = params.scale;
    const int32_t channels = windows.input.channels;
    const int32_t row_step = windows.input.width * channels;
    for_each_resampled(windows, input, tables, [&](const ResampleWindow& given) {
        const ResampleWindow window = given;
        for (int32_t c = 0; c < channels; ++c) {
            const int32_t sum = sum_of<kTaps>(windows.taps, window, window.first + c, channels, row_step);
            *output++ = dsp::requantize<dsp::Form::kHalfAway>(2 * sum, scale, {});
        }
    });
}

}  // namespace

void dsp_resample_s8(const RescaledResampleParams& params, const int8_t* input, const int32_t* row_starts,
                     const int16_t* row_weights, const int32_t* column_starts, const int16_t* column_weights,
                     int8_t* output) {
    const ResampleTables tables = {row_starts, row_weights, column_starts, column_weights};
    if (params.windows.taps.y == 2 && params.windows.taps.x == 2) {
        resample<2>(params, input, tables, output);
    } else {
        resample<0>(params, input, tables, output);
    }
}

}  // namespace mcu::kernels
