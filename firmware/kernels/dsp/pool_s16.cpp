// Two channels at once, those of a word: SEL takes the larger ones; sums are apart.

#include "mcu/kernels/pool_s16.h"

#include <arm_acle.h>

#include "mcu/kernels/window_runs.h"
#include "words.h"

namespace mcu::kernels {
namespace {

struct TwoMaxima {
    static constexpr int32_t kTogether = 2;

    static int32_t start() { return static_cast<int32_t>(0x80008000u); }
    // One statement: the flags of SSUB16 are what SEL chooses by.
    static int32_t add(int32_t found, const int16_t* from) {
        int32_t larger;
        __asm__("ssub16 %0, %1, %2\nsel %0, %1, %2" : "=&r"(larger) : "r"(found), "r"(dsp::load_word(from)));
        return larger;
    }
    static void finish(int32_t found, int16_t* to) { dsp::store_word(found, to); }
};

struct TwoAverages {
    static constexpr int32_t kTogether = 2;
    struct Sums {
        int32_t low;
        int32_t high;
    };
    AverageS16 average;

    static Sums start() { return {0, 0}; }
    static Sums add(Sums sums, const int16_t* from) {
        const int32_t word = dsp::load_word(from);
        return {sums.low + static_cast<int16_t>(word), sums.high + (word >> 16)};
    }
    void finish(Sums sums, int16_t* to) const {
        to[0] = average(sums.low);
        to[1] = average(sums.high);
    }
};

}  // namespace

void max_pool2d_s16(const PoolS16Params& params, const int16_t* input, int16_t* output) {
    for_each_run(params, input, output, [](const WindowRun<int16_t>& run, int16_t* to) {
        if (run.lanes < TwoMaxima::kTogether) {
            reduce_run<0>(run, OneMaximumS16{}, to);
        } else {
            reduce_columns(run, TwoMaxima{}, to);
        }
    });
}

void avg_pool2d_s16(const PoolS16Params& params, const int16_t* input, const int32_t* multipliers,
                    int16_t* output) {
    for_each_run(params, input, output, [&](const WindowRun<int16_t>& run, int16_t* to) {
        const AverageS16 average(params, multipliers, run.rows * run.columns);
        if (run.lanes < TwoAverages::kTogether) {
            reduce_run<0>(run, OneAverageS16{average}, to);
        } else {
            reduce_run<0>(run, TwoAverages{average}, to);
        }
    });
}

}  // namespace mcu::kernels
