#include "mcu/kernels/mve_mean.h"

#include <arm_mve.h>

#include "mcu/kernels/pool.h"
#include "mcu/kernels/window_runs.h"

namespace mcu::kernels {
namespace {

constexpr int32_t kMost = 255;  // int8 whose sum fits 16 bits
constexpr int32_t kBlock = 8;   // channels
constexpr int32_t kLanes = 4;

int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}

// Sums as int8 in the highest byte of each lane.
int32x4_t requantized(const MeanParams& params, int32x4_t sums) {
    const DspScale& scale = params.scale;
    int32x4_t values = vmulq_n_s32(sums, params.factor >> 1);
    values = vaddq_n_s32(values, scale.doubled_bias >> 1);
    values = vqrdmulhq_n_s32(values, scale.multiplier);
    values = vaddq_n_s32(vaddq_s32(values, vshrq_n_s32(values, 31)), scale.addend);
    return vqshlq_r_s32(values, 24 - scale.shift);
}

// Four sums, of which `count` become outputs.
void finish(const MeanParams& params, int32x4_t sums, int32_t count, int8_t* output) {
    const int32x4_t values = vshrq_n_s32(requantized(params, sums), 24);
    vstrbq_p_s32(output, values, vctp32q(static_cast<uint32_t>(count)));
}

// Of eight channels, whose sums fit 16 bits.
struct Mean {
    static constexpr int32_t kTogether = kBlock;
    const MeanParams& params;

    static int16x8_t start() { return vdupq_n_s16(0); }
    static int16x8_t add(int16x8_t sums, const int8_t* from) { return vaddq_s16(sums, vldrbq_s16(from)); }
    void finish(int16x8_t sums, int8_t* to) const {
        const int32x4_t even = requantized(params, vmovlbq_s16(sums));
        int32x4_t both = requantized(params, vmovltq_s16(sums));
        // Assembly because gcc 10 refuses more than 8 bits of the intrinsic.
        __asm__("vsri.32 %q[both], %q[even], #16" : [both] "+w"(both) : [even] "w"(even));
        vstrbq_s16(to, vshrq_n_s16(vreinterpretq_s16_s32(both), 8));
    }
};

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
    const int32_t together = (params.stride.x == 1 ? params.output.width : 1) * channels;
    if (together >= kBlock && params.taps.y * params.taps.x <= kMost) {
        const Window taps = {params.taps, params.stride, {0, 0}, {1, 1}};
        for_each_run(AvgPool2dParams{params.batch, params.input, params.output, taps}, input, output,
                     [&](const WindowRun<int8_t>& run, int8_t* to) { reduce_run<0>(run, Mean{params}, to); });
        return;
    }
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
