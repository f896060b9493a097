#include "mcu/kernels/resample.h"

#include "mcu/kernels/requantize.h"

namespace mcu::kernels {
namespace {

constexpr int32_t kLineShift = 7;

// The sum of one output element; `first` is the top left pixel's value in its channel.
int32_t weighted_sum(const ResampleParams& params, const int8_t* first, const int16_t* rows,
                     const int16_t* columns) {
    const int32_t channels = params.input.channels;
    int32_t sum = 0;
    for (int32_t s = 0; s < params.taps.y; ++s) {
        int32_t line = 0;
        for (int32_t t = 0; t < params.taps.x; ++t) {
            line += columns[t] * (first[t * channels] - params.input_zero_point);
        }
        sum += rows[s] * ((line + (1 << (kLineShift - 1))) >> kLineShift);
        first += params.input.width * channels;
    }
    return sum;
}

}  // namespace

void resample_s8(const ResampleParams& params, const int8_t* input, const int32_t* row_starts,
                 const int16_t* row_weights, const int32_t* column_starts, const int16_t* column_weights,
                 int8_t* output) {
    const OutputStage stage{params.output_zero_point, -128, 127};
    const int32_t channels = params.input.channels;
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t y = 0; y < params.output.height; ++y) {
            const int16_t* const rows = row_weights + y * params.taps.y;
            const int32_t top = n * params.input.height + row_starts[y];
            for (int32_t x = 0; x < params.output.width; ++x) {
                const int16_t* const columns = column_weights + x * params.taps.x;
                const int8_t* const first = input + (top * params.input.width + column_starts[x]) * channels;
                for (int32_t c = 0; c < channels; ++c) {
                    const int32_t sum = weighted_sum(params, first + c, rows, columns);
                    *output++ = to_int8(sum, params.multiplier, params.shift, stage);
                }
            }
        }
    }
}

}  // namespace mcu::kernels
