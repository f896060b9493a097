// mean.h on cores without DSP instructions.

#pragma once

#include "mcu/kernels/mean.h"

namespace mcu::kernels {

void thumb_mean_s8(const MeanParams& params, const int8_t* input, int8_t* output);

}  // namespace mcu::kernels
