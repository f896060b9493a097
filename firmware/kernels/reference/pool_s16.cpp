#include "mcu/kernels/pool_s16.h"

#include "mcu/kernels/window_runs.h"

namespace mcu::kernels {
namespace {

struct Maximum {
    static constexpr int32_t kTogether = 1;

    static int32_t start() { return -32768; }
    static int32_t add(int32_t found, const int16_t* from) { return *from > found ? *from : found; }
    static void finish(int32_t found, int16_t* to) { *to = static_cast<int16_t>(found); }
};

struct Average {
    static constexpr int32_t kTogether = 1;
    AverageS16 average;

    static int32_t start() { return 0; }
    static int32_t add(int32_t sum, const int16_t* from) { return sum + *from; }
    void finish(int32_t sum, int16_t* to) const { *to = average(sum); }
};

}  // namespace

void max_pool2d_s16(const PoolS16Params& params, const int16_t* input, int16_t* output) {
    for_each_run(params, input, output,
                 [](const WindowRun<int16_t>& run, int16_t* to) { reduce_run<0>(run, Maximum{}, to); });
}

void avg_pool2d_s16(const PoolS16Params& params, const int16_t* input, const int32_t* multipliers,
                    int16_t* output) {
    for_each_run(params, input, output, [&](const WindowRun<int16_t>& run, int16_t* to) {
        reduce_run<0>(run, Average{{params, multipliers, run.rows * run.columns}}, to);
    });
}

}  // namespace mcu::kernels
