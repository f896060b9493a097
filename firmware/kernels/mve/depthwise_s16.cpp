// Eight channels at a time: VMULLB and VMULLT multiply those of even and odd numbers: six instructions for
// eight multiply-accumulates.

#include "mcu/kernels/depthwise_s16.h"

#include <arm_mve.h>

#include "mcu/kernels/windows_s16.h"

namespace mcu::kernels {
namespace {

inline int32x4_t finished(int32x4_t sums, int32x4_t multipliers, int32x4_t shifts, const BoundsS16& bounds) {
    // The high half of the product, then a rounding shift to the right: 32 - shift is negative.
    const int32x4_t moved = vrshlq_s32(vmulhq_s32(sums, multipliers), vsubq_s32(vdupq_n_s32(32), shifts));
    return vminq_s32(vmaxq_s32(moved, vdupq_n_s32(bounds.low)), vdupq_n_s32(bounds.high));
}

inline void eight_channels(const ClippedWindowS16& window, int32_t channels, int32_t c, int32x4x2_t& sums) {
    int32x4_t even = sums.val[0];
    int32x4_t odd = sums.val[1];
    for (int32_t y = 0; y < window.rows; ++y) {
        const int16_t* from = window.first + y * window.x_row + c;
        const int8_t* tap = window.weights + y * window.w_row + c;
        for (int32_t x = window.columns; x > 0; --x, from += window.x_column, tap += channels) {
            const int16x8_t values = vldrhq_s16(from);
            const int16x8_t taps = vldrbq_s16(tap);
            even = vaddq_s32(even, vmullbq_int_s16(values, taps));
            odd = vaddq_s32(odd, vmulltq_int_s16(values, taps));
        }
    }
    sums.val[0] = even;
    sums.val[1] = odd;
}

}  // namespace

void depthwise_s16(const Conv2dS16Params& params, const int16_t* input, const int8_t* weights,
                   const int32_t* bias, const int32_t* multipliers, const int32_t* shifts, int16_t* output) {
    const int32_t channels = params.input.channels;
    for_each_window(params, input, weights, output, [&](const ClippedWindowS16& window, int16_t* to) {
        int32_t c = 0;
        for (; !params.is_long && c + 8 <= channels; c += 8) {
            int32x4x2_t sums = vld2q_s32(bias + c);
            eight_channels(window, channels, c, sums);
            const int32x4x2_t factors = vld2q_s32(multipliers + c);
            const int32x4x2_t right = vld2q_s32(shifts + c);
            const int32x4_t even = finished(sums.val[0], factors.val[0], right.val[0], params.bounds);
            const int32x4_t odd = finished(sums.val[1], factors.val[1], right.val[1], params.bounds);
            vstrhq_s16(to + c, vmovntq_s32(vmovnbq_s32(vdupq_n_s16(0), even), odd));
        }
        for (; c < channels; ++c) {
            to[c] =
                to_int16(one_channel(window, channels, c, bias[c]), multipliers[c], shifts[c], params.bounds);
        }
    });
}

}  // namespace mcu::kernels
