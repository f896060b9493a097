#include "mcu/kernels/mve_pool.h"

#include <arm_mve.h>

namespace mcu::kernels {
namespace {

constexpr int32_t kBlock = 8;  // channels

int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}
int32_t larger(int32_t a, int32_t b) {
    return a > b ? a : b;
}

// A window's part inside the image.
struct Patch {
    const int8_t* first;
    int32_t rows;
    int32_t columns;
    int32_t row_pitch;
    int32_t pixel;
};

// `load` gives the block's channels of the pixel at a place.
template <typename Load>
int16x8_t sums_of(const Patch& patch, const int8_t* first, const Load& load) {
    int16x8_t sums = vdupq_n_s16(0);
    for (int32_t y = 0; y < patch.rows; ++y) {
        const int8_t* at = first + y * patch.row_pitch;
        for (int32_t x = 0; x < patch.columns; ++x) {
            sums = vaddq_s16(sums, load(at));
            at += patch.pixel;
        }
    }
    return sums;
}

// To the nearest, ties away from zero.
int32_t divide_round(int32_t value, int32_t count) {
    return (value < 0 ? value - count / 2 : value + count / 2) / count;
}

// All channels of one output pixel.
void average(const Patch& patch, int8_t* output) {
    const int32_t count = patch.rows * patch.columns;
    for (int32_t c = 0; c < patch.pixel; c += kBlock) {
        const int32_t channels = smaller(patch.pixel - c, kBlock);
        const mve_pred16_t some = vctp16q(static_cast<uint32_t>(channels));
        const int8_t* first = patch.first + c;
        int16_t sums[kBlock];
        vst1q_s16(sums,
                  channels == kBlock
                      ? sums_of(patch, first, [](const int8_t* at) { return vldrbq_s16(at); })
                      : sums_of(patch, first, [some](const int8_t* at) { return vldrbq_z_s16(at, some); }));
        for (int32_t i = 0; i < channels; ++i) {
            *output++ = static_cast<int8_t>(divide_round(sums[i], count));
        }
    }
}

void maximum(const Patch& patch, const MaxPool2dParams& params, int8_t* output) {
    for (int32_t c = 0; c < patch.pixel; c += 16) {
        const mve_pred16_t some = vctp8q(static_cast<uint32_t>(patch.pixel - c));
        int8x16_t found = vdupq_n_s8(-128);
        for (int32_t y = 0; y < patch.rows; ++y) {
            const int8_t* at = patch.first + y * patch.row_pitch + c;
            for (int32_t x = 0; x < patch.columns; ++x) {
                found = vmaxq_s8(found, vldrbq_z_s8(at, some));
                at += patch.pixel;
            }
        }
        found = vmaxq_s8(found, vdupq_n_s8(static_cast<int8_t>(params.activation_min)));
        found = vminq_s8(found, vdupq_n_s8(static_cast<int8_t>(params.activation_max)));
        vstrbq_p_s8(output + c, found, some);
    }
}

// Calls pixel(patch, output) for every pixel of the output, in memory order.
template <typename Params, typename Pixel>
inline void for_each_patch(const Params& params, const int8_t* input, int8_t* output, const Pixel& pixel) {
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
                pixel(Patch{first, rows, columns, pitch, size.channels}, output);
                output += size.channels;
            }
        }
    }
}

}  // namespace

void mve_avg_pool2d_s8(const AvgPool2dParams& params, const int8_t* input, int8_t* output) {
    for_each_patch(params, input, output, [](const Patch& patch, int8_t* to) { average(patch, to); });
}

void mve_max_pool2d_s8(const MaxPool2dParams& params, const int8_t* input, int8_t* output) {
    for_each_patch(params, input, output,
                   [&params](const Patch& patch, int8_t* to) { maximum(patch, params, to); });
}

}  // namespace mcu::kernels
