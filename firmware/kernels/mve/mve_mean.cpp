#include "mcu/kernels/mve_mean.h"

#include <arm_mve.h>

namespace mcu::kernels {
namespace {

constexpr int32_t kMost = 255;  // int8 whose sum fits 16 bits
constexpr int32_t kBlock = 8;   // channels
constexpr int32_t kLanes = 4;

int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}

// Four sums, of which `count` become outputs.
void finish(const MeanParams& params, int32x4_t sums, int32_t count, int8_t* output) {
    const DspScale& scale = params.scale;
    int32x4_t values = vmulq_n_s32(sums, params.factor >> 1);
    values = vaddq_n_s32(values, scale.doubled_bias >> 1);
    values = vqrdmulhq_n_s32(values, scale.multiplier);
    values = vaddq_n_s32(vaddq_s32(values, vshrq_n_s32(values, 31)), scale.addend);
    values = vshrq_n_s32(vqshlq_r_s32(values, 24 - scale.shift), 24);
    vstrbq_p_s32(output, values, vctp32q(static_cast<uint32_t>(count)));
}

// Of up to eight channels of a window.
void channels_of(const MeanParams& params, const MeanWindow& window, const int8_t* first, int32_t channels,
                 int8_t* output) {
    const mve_pred16_t some = vctp16q(static_cast<uint32_t>(channels));
    int32_t totals[kBlock] = {};
    int16x8_t sums = vdupq_n_s16(0);
    int32_t left = kMost;
    const auto move = [&] {
        int16_t halves[kBlock];
        vst1q_s16(halves, sums);
        for (int32_t i = 0; i < kBlock; i += kLanes) {
            vst1q_s32(totals + i, vaddq_s32(vld1q_s32(totals + i), vldrhq_s32(halves + i)));
        }
        sums = vdupq_n_s16(0);
        left = kMost;
    };
    for (int32_t y = window.rows; y > 0; --y, first += window.row) {
        const int8_t* pixel = first;
        for (int32_t columns = window.columns; columns > 0;) {
            if (left == 0) {
                move();
            }
            const int32_t now = smaller(columns, left);
            columns -= now;
            left -= now;
            for (int32_t i = now; i > 0; --i, pixel += window.column) {
                sums = vaddq_s16(sums, vldrbq_z_s16(pixel, some));
            }
        }
    }
    move();
    for (int32_t i = 0; i < channels; i += kLanes) {
        finish(params, vld1q_s32(totals + i), channels - i, output + i);
    }
}

int32_t sum_of_neighbours(const MeanWindow& window, const int8_t* first) {
    int32_t sum = 0;
    for (int32_t y = window.rows; y > 0; --y, first += window.row) {
        const int8_t* pixel = first;
        for (int32_t left = window.columns; left > 0; left -= 16, pixel += 16) {
            sum = vaddvaq_s8(sum, vldrbq_z_s8(pixel, vctp8q(static_cast<uint32_t>(left))));
        }
    }
    return sum;
}

}  // namespace

void mve_mean_s8(const MeanParams& params, const int8_t* input, int8_t* output) {
    const MeanWindow window = mean_window(params);
    const int32_t channels = params.input.channels;
    if (window.column != 1) {
        for_each_mean(params, input, [&](const int8_t* first) {
            for (int32_t c = 0; c < channels; c += kBlock) {
                const int32_t some = smaller(channels - c, kBlock);
                channels_of(params, window, first + c, some, output);
                output += some;
            }
        });
        return;
    }
    int32_t sums[kLanes] = {};
    int32_t count = 0;
    for_each_mean(params, input, [&](const int8_t* first) {
        sums[count++] = sum_of_neighbours(window, first);
        if (count == kLanes) {
            finish(params, vld1q_s32(sums), count, output);
            output += kLanes;
            count = 0;
        }
    });
    finish(params, vld1q_s32(sums), count, output);
}

}  // namespace mcu::kernels
