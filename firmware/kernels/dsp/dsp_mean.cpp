#include "mcu/kernels/dsp_mean.h"

#include "mcu/kernels/pool.h"
#include "mcu/kernels/window_runs.h"
#include "requantize.h"

namespace mcu::kernels {
namespace {

constexpr int32_t kMost = 255;  // int8 whose sum fits 16 bits
constexpr int32_t kOnes = 0x00010001;

int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}

// Sums of four channels: pairs of 16 bits, and what they held before they were full.
struct FourSums {
    int32_t even = 0;
    int32_t odd = 0;
    int32_t left = kMost;
    int32_t sums[4] = {};

    void move() {
        sums[0] += static_cast<int16_t>(even);
        sums[1] += static_cast<int16_t>(odd);
        sums[2] += even >> 16;
        sums[3] += odd >> 16;
        even = 0;
        odd = 0;
        left = kMost;
    }

    // `columns` words, `step` bytes apart.
    void add(const int8_t* pixel, int32_t columns, int32_t step) {
        while (columns > 0) {
            if (left == 0) {
                move();
            }
            const int32_t some = smaller(columns, left);
            columns -= some;
            left -= some;
            int32_t a = even;
            int32_t b = odd;
#pragma GCC unroll 4
            for (int32_t i = some; i > 0; --i, pixel += step) {
                const int32_t word = dsp::load_word(pixel);
                a = dsp::add_even(a, word);
                b = dsp::add_odd(b, word);
            }
            even = a;
            odd = b;
        }
    }
};

// Of four channels, whose sums fit 16 bits.
struct Mean {
    static constexpr int32_t kTogether = 4;
    struct Sums {
        int32_t even;
        int32_t odd;
    };
    DspScale scale;
    int32_t factor;

    static Sums start() { return {0, 0}; }
    static Sums add(Sums sums, const int8_t* from) {
        const int32_t word = dsp::load_word(from);
        return {dsp::add_even(sums.even, word), dsp::add_odd(sums.odd, word)};
    }
    int8_t of(int32_t sum) const {
        return dsp::requantize<dsp::Form::kHalfAway>(scale.doubled_bias + factor * sum, scale, {});
    }
    void finish(Sums sums, int8_t* to) const {
        to[0] = of(static_cast<int16_t>(sums.even));
        to[1] = of(static_cast<int16_t>(sums.odd));
        to[2] = of(sums.even >> 16);
        to[3] = of(sums.odd >> 16);
    }
};

int32_t sum_of_neighbours(const int8_t* from, int32_t count) {
    int32_t sum = 0;
    int32_t left = count;
    for (; left >= 4; left -= 4, from += 4) {
        const int32_t word = dsp::load_word(from);
        sum = dsp::multiply_add(dsp::even_bytes(word), kOnes, sum);
        sum = dsp::multiply_add(dsp::odd_bytes(word), kOnes, sum);
    }
    for (; left > 0; --left) {
        sum += *from++;
    }
    return sum;
}

int32_t sum_of_one(const MeanWindow& window, const int8_t* first) {
    int32_t sum = 0;
    for (int32_t y = window.rows; y > 0; --y, first += window.row) {
        if (window.column == 1) {
            sum += sum_of_neighbours(first, window.columns);
            continue;
        }
        const int8_t* pixel = first;
        for (int32_t x = window.columns; x > 0; --x, pixel += window.column) {
            sum += *pixel;
        }
    }
    return sum;
}

}  // namespace

void dsp_mean_s8(const MeanParams& params, const int8_t* input, int8_t* output) {
    const MeanWindow window = mean_window(params);
    const Mean mean = {params.scale, params.factor};
    const int32_t channels = params.input.channels;
    const int32_t together = (params.stride.x == 1 ? params.output.width : 1) * channels;
    if (together >= Mean::kTogether && params.taps.y * params.taps.x <= kMost) {
        const Window taps = {params.taps, params.stride, {0, 0}, {1, 1}};
        for_each_run(AvgPool2dParams{params.batch, params.input, params.output, taps}, input, output,
                     [&](const WindowRun<int8_t>& run, int8_t* to) { reduce_run<0>(run, mean, to); });
        return;
    }
    for_each_mean(params, input, [&](const int8_t* first) {
        int32_t c = 0;
        for (; c + 4 <= channels; c += 4, output += 4) {
            FourSums four;
            for (int32_t y = 0; y < window.rows; ++y) {
                four.add(first + c + y * window.row, window.columns, window.column);
            }
            four.move();
            for (int32_t i = 0; i < 4; ++i) {
                output[i] = mean.of(four.sums[i]);
            }
        }
        for (; c < channels; ++c) {
            *output++ = mean.of(sum_of_one(window, first + c));
        }
    });
}

}  // namespace mcu::kernels
