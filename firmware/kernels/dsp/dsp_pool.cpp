#include "mcu/kernels/dsp_pool.h"

#include "requantize.h"

namespace mcu::kernels {
namespace {

// The part of a window that lies inside the image, at four channels.
struct ClippedWindow {
    const int8_t* first;
    int32_t rows;
    int32_t columns;
    int32_t row_stride;
    int32_t column_stride;
};

inline int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}
inline int32_t larger(int32_t a, int32_t b) {
    return a > b ? a : b;
}

// To the nearest, half away from zero.
inline int8_t average(int32_t sum, int32_t count) {
    return static_cast<int8_t>((sum < 0 ? sum - count / 2 : sum + count / 2) / count);
}

// Calls function(word) for four channels of each pixel of a window.
template <typename Function>
inline void for_each_word(const ClippedWindow& window, const Function& function) {
    const int8_t* row = window.first;
    for (int32_t y = window.rows; y > 0; --y, row += window.row_stride) {
        const int8_t* pixel = row;
        for (int32_t x = window.columns; x > 0; --x, pixel += window.column_stride) {
            function(dsp::load_word(pixel));
        }
    }
}

inline void average_four(const ClippedWindow& window, int8_t* output) {
    int32_t even = 0;
    int32_t odd = 0;
    for_each_word(window, [&](int32_t word) {
        even = dsp::add_even(even, word);
        odd = dsp::add_odd(odd, word);
    });
    const int32_t count = window.rows * window.columns;
    output[0] = average(static_cast<int16_t>(even), count);
    output[1] = average(static_cast<int16_t>(odd), count);
    output[2] = average(even >> 16, count);
    output[3] = average(odd >> 16, count);
}

// The larger of each byte of two words. One statement: the flags of SSUB8 are what SEL chooses by.
inline int32_t larger_bytes(int32_t a, int32_t b) {
    int32_t result;
    __asm__("ssub8 %0, %1, %2\nsel %0, %1, %2" : "=&r"(result) : "r"(a), "r"(b));
    return result;
}
inline int32_t smaller_bytes(int32_t a, int32_t b) {
    int32_t result;
    __asm__("ssub8 %0, %1, %2\nsel %0, %2, %1" : "=&r"(result) : "r"(a), "r"(b));
    return result;
}

// Calls function(window, output) for each four channels of the output.
template <typename Params, typename Function>
inline void for_each_window(const Params& params, const int8_t* input, int8_t* output,
                            const Function& function) {
    const ImageSize& size = params.input;
    const Window& window = params.window;
    const int32_t row_stride = size.width * size.channels;
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t oy = 0; oy < params.output.height; ++oy) {
            const int32_t top = oy * window.stride.y - window.padding.y;
            const int32_t bottom = smaller(top + window.size.y, size.height);
            const int32_t y = larger(top, 0);
            for (int32_t ox = 0; ox < params.output.width; ++ox, output += size.channels) {
                const int32_t left = ox * window.stride.x - window.padding.x;
                const int32_t right = smaller(left + window.size.x, size.width);
                const int32_t x = larger(left, 0);
                const int8_t* first = input + (n * size.height + y) * row_stride + x * size.channels;
                for (int32_t c = 0; c < size.channels; c += 4) {
                    const int32_t four = smaller(c, size.channels - 4);
                    function(ClippedWindow{first + four, bottom - y, right - x, row_stride, size.channels},
                             output + four);
                }
            }
        }
    }
}

}  // namespace

void dsp_avg_pool2d_s8(const AvgPool2dParams& params, const int8_t* input, int8_t* output) {
    for_each_window(params, input, output,
                    [](const ClippedWindow& window, int8_t* to) { average_four(window, to); });
}

void dsp_max_pool2d_s8(const MaxPool2dParams& params, const int8_t* input, int8_t* output) {
    constexpr int32_t kBytes = 0x01010101;
    const int32_t low = static_cast<uint8_t>(params.activation_min) * kBytes;
    const int32_t high = static_cast<uint8_t>(params.activation_max) * kBytes;
    for_each_window(params, input, output, [=](const ClippedWindow& window, int8_t* to) {
        int32_t found = low;
        for_each_word(window, [&](int32_t word) { found = larger_bytes(found, word); });
        dsp::store_word(smaller_bytes(found, high), to);
    });
}

}  // namespace mcu::kernels
