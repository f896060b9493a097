#include "mcu/kernels/conv2d_s16.h"

#include "dots_s16.h"
#include "mcu/kernels/runs_s16.h"

namespace mcu::kernels {

MCU_RUNS_S16_CONV2D(mve::DotsS16)

}  // namespace mcu::kernels
