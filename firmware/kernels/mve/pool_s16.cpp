// Eight channels at once: a load and a maximum, or two loads and two additions, for eight inputs.

#include "mcu/kernels/pool_s16.h"

#include <arm_mve.h>

#include "mcu/kernels/window_runs.h"

namespace mcu::kernels {
namespace {

constexpr int32_t kLanes = 8;
constexpr int32_t kHalf = 4;

// Of eight channels, all of them or some.
template <bool Whole>
struct Maximum {
    static constexpr int32_t kTogether = kLanes;
    mve_pred16_t some;

    static int16x8_t start() { return vdupq_n_s16(-32768); }
    int16x8_t add(int16x8_t found, const int16_t* from) const {
        return vmaxq_s16(found, Whole ? vldrhq_s16(from) : vldrhq_z_s16(from, some));
    }
    void finish(int16x8_t found, int16_t* to) const {
        if (Whole) {
            vstrhq_s16(to, found);
        } else {
            vstrhq_p_s16(to, found, some);
        }
    }
};

template <bool Whole>
struct Average {
    static constexpr int32_t kTogether = kLanes;
    struct Sums {
        int32x4_t low;
        int32x4_t high;
    };
    AverageS16 average;
    mve_pred16_t low;
    mve_pred16_t high;

    static Sums start() { return {vdupq_n_s32(0), vdupq_n_s32(0)}; }
    Sums add(const Sums& sums, const int16_t* from) const {
        if (Whole) {
            return {vaddq_s32(sums.low, vldrhq_s32(from)), vaddq_s32(sums.high, vldrhq_s32(from + kHalf))};
        }
        return {vaddq_s32(sums.low, vldrhq_z_s32(from, low)),
                vaddq_s32(sums.high, vldrhq_z_s32(from + kHalf, high))};
    }
    void finish(const Sums& sums, int16_t* to) const {
        vstrhq_p_s32(to, averaged(sums.low), low);
        vstrhq_p_s32(to + kHalf, averaged(sums.high), high);
    }
    int32x4_t averaged(int32x4_t sums) const {
        const HighScale& scale = average.scale();
        if (!average.is_high()) {
            int32_t one[kHalf];
            vstrwq_s32(one, sums);
            for (int32_t& sum : one) {
                sum = average(sum);
            }
            return vldrwq_s32(one);
        }
        const int32x4_t moved = vshlq_r_s32(sums, scale.left);
        const int32x4_t found = vrshlq_n_s32(vmulhq_s32(moved, vdupq_n_s32(scale.multiplier)), -scale.right);
        return vminq_s32(vmaxq_s32(found, vdupq_n_s32(-32768)), vdupq_n_s32(32767));
    }
};

}  // namespace

void max_pool2d_s16(const PoolS16Params& params, const int16_t* input, int16_t* output) {
    for_each_run(params, input, output, [](const WindowRun<int16_t>& run, int16_t* to) {
        const mve_pred16_t some = vctp16q(static_cast<uint32_t>(run.lanes));
        if (run.lanes < kLanes) {
            reduce_run<0>(run, Maximum<false>{some}, to);
        } else {
            reduce_columns(run, Maximum<true>{some}, to);
        }
    });
}

void avg_pool2d_s16(const PoolS16Params& params, const int16_t* input, const int32_t* multipliers,
                    int16_t* output) {
    for_each_run(params, input, output, [&](const WindowRun<int16_t>& run, int16_t* to) {
        const AverageS16 average(params, multipliers, run.rows * run.columns);
        const mve_pred16_t low = vctp32q(static_cast<uint32_t>(run.lanes));
        const mve_pred16_t high = vctp32q(static_cast<uint32_t>(run.lanes > kHalf ? run.lanes - kHalf : 0));
        if (run.lanes < kLanes) {
            reduce_run<0>(run, Average<false>{average, low, high}, to);
        } else {
            reduce_run<0>(run, Average<true>{average, low, high}, to);
        }
    });
}

}  // namespace mcu::kernels
