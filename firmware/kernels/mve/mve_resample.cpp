#include "mcu/kernels/mve_resample.h"

#include <arm_mve.h>

namespace mcu::kernels {
namespace {

constexpr int32_t kLanes = 4;  // channels

int32x4_t sums_of(const ResampleParams& params, const ResampleWindow& window, int32_t channel,
                  mve_pred16_t some) {
    const int32_t pixel_step = params.input.channels;
    const int32_t row_step = params.input.width * pixel_step;
    const int8_t* first = window.first + channel;
    int32x4_t sums = vdupq_n_s32(0);
    for (int32_t s = 0; s < params.taps.y; ++s, first += row_step) {
        int32x4_t line = vdupq_n_s32(window.start);
        const int8_t* pixel = first;
        for (int32_t t = 0; t < params.taps.x; ++t, pixel += pixel_step) {
            line = vmlaq_n_s32(line, vldrbq_z_s32(pixel, some), window.columns[t]);
        }
        sums = vmlaq_n_s32(sums, vshrq_n_s32(line, 7), window.rows[s]);
    }
    return sums;
}

}  // namespace

void mve_resample_s8(const RescaledResampleParams& params, const int8_t* input, const int32_t* row_starts,
                     const int16_t* row_weights, const int32_t* column_starts, const int16_t* column_weights,
                     int8_t* output) {
    const ResampleParams windows = params.windows;
    const DspScale scale = params.scale;
    const int32_t channels = windows.input.channels;
    for_each_resampled(windows, input, {row_starts, row_weights, column_starts, column_weights},
                       [&](const ResampleWindow& window) {
                           for (int32_t c = 0; c < channels; c += kLanes) {
                               const mve_pred16_t some = vctp32q(static_cast<uint32_t>(channels - c));
                               int32x4_t values = sums_of(windows, window, c, some);
                               values = vqrdmulhq_n_s32(values, scale.multiplier);
                               values = vaddq_s32(values, vshrq_n_s32(values, 31));
                               values = vaddq_n_s32(values, scale.addend);
                               values = vshrq_n_s32(vqshlq_r_s32(values, 24 - scale.shift), 24);
                               vstrbq_p_s32(output + c, values, some);
                           }
                           output += channels;
                       });
}

}  // namespace mcu::kernels
