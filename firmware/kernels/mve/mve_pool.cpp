#include "mcu/kernels/mve_pool.h"

#include <arm_mve.h>

#include "mcu/kernels/window_runs.h"

namespace mcu::kernels {
namespace {

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

// Of eight channels, all of them or some.
template <bool Whole>
struct Average {
    static constexpr int32_t kTogether = 8;
    Divisor divisor;
    bool divides;
    mve_pred16_t some;

    static int16x8_t start() { return vdupq_n_s16(0); }
    int16x8_t add(int16x8_t sums, const int8_t* from) const {
        return vaddq_s16(sums, Whole ? vldrbq_s16(from) : vldrbq_z_s16(from, some));
    }
    void finish(int16x8_t sums, int8_t* to) const {
        const int16x8_t found = divides ? divide_round(sums, divisor) : sums;
        if (Whole) {
            vstrbq_s16(to, found);
        } else {
            vstrbq_p_s16(to, found, some);
        }
    }
};

// Of 16 channels, all of them or some.
template <bool Whole>
struct Maximum {
    static constexpr int32_t kTogether = 16;
    int8x16_t low;
    int8x16_t high;
    mve_pred16_t some;

    int8x16_t start() const { return low; }
    int8x16_t add(int8x16_t found, const int8_t* from) const {
        return vmaxq_s8(found, Whole ? vldrbq_s8(from) : vldrbq_z_s8(from, some));
    }
    void finish(int8x16_t found, int8_t* to) const {
        if (Whole) {
            vstrbq_s8(to, vminq_s8(found, high));
        } else {
            vstrbq_p_s8(to, vminq_s8(found, high), some);
        }
    }
};

}  // namespace

void mve_avg_pool2d_s8(const AvgPool2dParams& params, const int8_t* input, int8_t* output) {
    int32_t count = 0;
    Divisor divisor = {};
    for_each_run(params, input, output, [&](const WindowRun<int8_t>& run, int8_t* to) {
        if (run.rows * run.columns != count) {
            count = run.rows * run.columns;
            divisor = count > 1 ? divisor_of(count) : Divisor{};
        }
        const mve_pred16_t some = vctp16q(static_cast<uint32_t>(run.lanes));
        if (run.lanes < Average<false>::kTogether) {
            reduce_run<0>(run, Average<false>{divisor, count > 1, some}, to);
        } else {
            reduce_run<0>(run, Average<true>{divisor, count > 1, some}, to);
        }
    });
}

void mve_max_pool2d_s8(const MaxPool2dParams& params, const int8_t* input, int8_t* output) {
    const int8x16_t low = vdupq_n_s8(static_cast<int8_t>(params.activation_min));
    const int8x16_t high = vdupq_n_s8(static_cast<int8_t>(params.activation_max));
    for_each_run(params, input, output, [&](const WindowRun<int8_t>& run, int8_t* to) {
        const mve_pred16_t some = vctp8q(static_cast<uint32_t>(run.lanes));
        if (run.lanes < Maximum<false>::kTogether) {
            reduce_run<0>(run, Maximum<false>{low, high, some}, to);
        } else {
            reduce_columns(run, Maximum<true>{low, high, some}, to);
        }
    });
}

}  // namespace mcu::kernels
