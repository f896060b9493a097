#include "mcu/kernels/mve_pool.h"

#include <arm_mve.h>

namespace mcu::kernels {
namespace {

constexpr int32_t kBlock = 8;   // channels whose sums are made at once
constexpr int32_t kLanes = 16;  // channels whose maxima are

int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}
int32_t larger(int32_t a, int32_t b) {
    return a > b ? a : b;
}

// A window's part inside the image.
struct ClippedWindow {
    const int8_t* first;
    int32_t rows;
    int32_t columns;
    int32_t row_pitch;
    int32_t pixel;
};

// Calls add(place) for each pixel of a window; windows of 2x2 and 3x3 without loops.
template <typename Add>
inline void for_each_pixel(const ClippedWindow& window, const int8_t* first, const Add& add) {
    if (window.columns == 2 && window.rows == 2) {
        add(first);
        add(first + window.pixel);
        add(first + window.row_pitch);
        add(first + window.row_pitch + window.pixel);
        return;
    }
    const bool three = window.columns == 3 && window.rows == 3;
    for (int32_t y = window.rows; y > 0; --y, first += window.row_pitch) {
        if (three) {
            add(first);
            add(first + window.pixel);
            add(first + 2 * window.pixel);
            continue;
        }
        const int8_t* at = first;
        for (int32_t x = window.columns; x > 0; --x, at += window.pixel) {
            add(at);
        }
    }
}

// Quotients of numbers below 2^15 by `count`, at least 2: (a * factor >> 16) >> shift, exactly, with factor =
// ceil(2^(16 + shift) / count) and 2^(shift + 1) >= count (Granlund and Montgomery, 1994).
struct Divisor {
    int16_t half;
    uint16_t factor;
    int32_t shift;
};

Divisor divisor_of(int32_t count) {
    const int32_t shift = 31 - __builtin_clz(static_cast<uint32_t>(count - 1));
    const int32_t factor = ((int32_t{1} << (16 + shift)) + count - 1) / count;
    return {static_cast<int16_t>(count / 2), static_cast<uint16_t>(factor), shift};
}

// To the nearest, half away from zero.
int16x8_t divide_round(int16x8_t sums, const Divisor& divisor) {
    const int16x8_t magnitudes = vaddq_n_s16(vabsq_s16(sums), divisor.half);
    const uint16x8_t high = vmulhq_u16(vreinterpretq_u16_s16(magnitudes), vdupq_n_u16(divisor.factor));
    const int16x8_t found = vreinterpretq_s16_u16(vshlq_r_u16(high, -divisor.shift));
    return vnegq_m_s16(found, found, vcmpltq_n_s16(sums, 0));
}

// All channels of one output pixel.
void average(const ClippedWindow& window, const Divisor& divisor, int8_t* output) {
    const int8_t* first = window.first;
    for (int32_t left = window.pixel; left > 0; left -= kBlock, first += kBlock, output += kBlock) {
        const mve_pred16_t some = vctp16q(static_cast<uint32_t>(left));
        int16x8_t sums = vdupq_n_s16(0);
        for_each_pixel(window, first,
                       [&](const int8_t* at) { sums = vaddq_s16(sums, vldrbq_z_s16(at, some)); });
        vstrbq_p_s16(output, window.rows * window.columns > 1 ? divide_round(sums, divisor) : sums, some);
    }
}

void maximum(const ClippedWindow& window, int8x16_t low, int8x16_t high, int8_t* output) {
    const int8_t* first = window.first;
    for (int32_t left = window.pixel; left > 0; left -= kLanes, first += kLanes, output += kLanes) {
        const mve_pred16_t some = vctp8q(static_cast<uint32_t>(left));
        int8x16_t found = low;
        for_each_pixel(window, first,
                       [&](const int8_t* at) { found = vmaxq_s8(found, vldrbq_z_s8(at, some)); });
        vstrbq_p_s8(output, vminq_s8(found, high), some);
    }
}

// Calls pixel(window, output) for every pixel of the output, in memory order.
template <typename Params, typename Pixel>
inline void for_each_window(const Params& params, const int8_t* input, int8_t* output, const Pixel& pixel) {
    const ImageSize& size = params.input;
    const Window& window = params.window;
    const int32_t pitch = size.width * size.channels;
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t oy = 0; oy < params.output.height; ++oy) {
            const int32_t top = oy * window.stride.y - window.padding.y;
            const int32_t y = larger(top, 0);
            const int32_t rows = smaller(top + window.size.y, size.height) - y;
            for (int32_t ox = 0; ox < params.output.width; ++ox) {
                const int32_t left = ox * window.stride.x - window.padding.x;
                const int32_t x = larger(left, 0);
                const int32_t columns = smaller(left + window.size.x, size.width) - x;
                const int8_t* first = input + (n * size.height + y) * pitch + x * size.channels;
                pixel(ClippedWindow{first, rows, columns, pitch, size.channels}, output);
                output += size.channels;
            }
        }
    }
}

}  // namespace

void mve_avg_pool2d_s8(const AvgPool2dParams& params, const int8_t* input, int8_t* output) {
    int32_t count = 0;
    Divisor divisor = {};
    for_each_window(params, input, output, [&](const ClippedWindow& window, int8_t* to) {
        if (window.rows * window.columns != count) {
            count = window.rows * window.columns;
            divisor = count > 1 ? divisor_of(count) : Divisor{};
        }
        average(window, divisor, to);
    });
}

void mve_max_pool2d_s8(const MaxPool2dParams& params, const int8_t* input, int8_t* output) {
    const int8x16_t low = vdupq_n_s8(static_cast<int8_t>(params.activation_min));
    const int8x16_t high = vdupq_n_s8(static_cast<int8_t>(params.activation_max));
    for_each_window(params, input, output,
                    [&](const ClippedWindow& window, int8_t* to) { maximum(window, low, high, to); });
}

}  // namespace mcu::kernels
