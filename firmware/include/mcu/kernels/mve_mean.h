// mean.h on Helium. Eight channels at a time, their sums in 16 bits
// for up to 255 pixels, then in 32.

#pragma once

#include "mcu/kernels/mean.h"

namespace mcu::kernels {

void mve_mean_s8(const MeanParams& params, const int8_t* input, int8_t* output);

}  // namespace mcu::kernels
