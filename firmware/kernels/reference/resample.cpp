#include "mcu/kernels/resample.h"

#include <type_traits>

#include "mcu/kernels/requantize.h"

namespace mcu::kernels {
namespace {

constexpr int32_t kLineShift = 7;

// Channels that are summed together: neighbours in memory, so that compilers take several at once.
constexpr int32_t kBlock = 16;
constexpr std::integral_constant<int32_t, kBlock> kWholeBlock;

int32_t sum_of(const int16_t* weights, int32_t count) {
    int32_t sum = 0;
    for (int32_t i = 0; i < count; ++i) {
        sum += weights[i];
    }
    return sum;
}

// The sums of one output pixel for `count` channels, a constant for whole blocks; `first` is the top left
// pixel's value in the first of them.
template <typename Count>
void weighted_sums(const ResampleParams& params, const int8_t* first, const int16_t* rows,
                   const int16_t* columns, Count count, int32_t* sums) {
    const int32_t channels = params.input.channels;
    const int32_t start = (1 << (kLineShift - 1)) - params.input_zero_point * sum_of(columns, params.taps.x);
    for (int32_t c = 0; c < count; ++c) {
        sums[c] = 0;
    }
    for (int32_t s = 0; s < params.taps.y; ++s) {
        int32_t line[kBlock];
        for (int32_t c = 0; c < count; ++c) {
            line[c] = start;
        }
        const int8_t* pixel = first;
        for (int32_t t = 0; t < params.taps.x; ++t) {
            const int32_t weight = columns[t];
            for (int32_t c = 0; c < count; ++c) {
                line[c] += weight * pixel[c];
            }
            pixel += channels;
        }
        const int32_t weight = rows[s];
        for (int32_t c = 0; c < count; ++c) {
            sums[c] += weight * (line[c] >> kLineShift);
        }
        first += params.input.width * channels;
    }
}

}  // namespace

void resample_s8(const ResampleParams& params, const int8_t* input, const int32_t* row_starts,
                 const int16_t* row_weights, const int32_t* column_starts, const int16_t* column_weights,
                 int8_t* output) {
    const OutputEpilogue epilogue{params.output_zero_point, -128, 127};
    const int32_t channels = params.input.channels;
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t y = 0; y < params.output.height; ++y) {
            const int32_t row = params.first_row + y;
            const int16_t* const rows = row_weights + row * params.taps.y;
            const int32_t top = n * params.input.height + row_starts[row] - params.above;
            for (int32_t x = 0; x < params.output.width; ++x) {
                const int16_t* const columns = column_weights + x * params.taps.x;
                const int8_t* const first = input + (top * params.input.width + column_starts[x]) * channels;
                for (int32_t c = 0; c < channels; c += kBlock) {
                    const int32_t count = channels - c < kBlock ? channels - c : kBlock;
                    int32_t sums[kBlock];
                    if (count == kBlock) {
                        weighted_sums(params, first + c, rows, columns, kWholeBlock, sums);
                    } else {
                        weighted_sums(params, first + c, rows, columns, count, sums);
                    }
                    for (int32_t i = 0; i < count; ++i) {
                        *output++ = to_int8(sums[i], params.multiplier, params.shift, epilogue);
                    }
                }
            }
        }
    }
}

}  // namespace mcu::kernels
