// How the driver reaches the NPU. An exported model has another file in place of this one.

#pragma once

#if defined(__ZEPHYR__)
#include "bus_zephyr.h"
#elif defined(MCU_NPU_BASE)
#include "bus_core.h"
#else
#include "bus_host.h"
#endif
