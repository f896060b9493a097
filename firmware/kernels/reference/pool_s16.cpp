#include "mcu/kernels/pool_s16.h"

#include "mcu/kernels/window_runs.h"

namespace mcu::kernels {
void max_pool2d_s16(const PoolS16Params& params, const int16_t* input, int16_t* output) {
    for_each_run(params, input, output,
                 [](const WindowRun<int16_t>& run, int16_t* to) { reduce_run<0>(run, OneMaximumS16{}, to); });
}

void avg_pool2d_s16(const PoolS16Params& params, const int16_t* input, const int32_t* multipliers,
                    int16_t* output) {
    for_each_run(params, input, output, [&](const WindowRun<int16_t>& run, int16_t* to) {
        reduce_run<0>(run, OneAverageS16{{params, multipliers, run.rows * run.columns}}, to);
    });
}

}  // namespace mcu::kernels
