// Memory that a Cortex-M and the NPU share: who may look at it when.

#pragma once

#include "cache.h"
#include "mcu/drivers/ethos_u.h"

namespace mcu::ethos_u::bus {

inline void barrier() {
    __asm volatile("dsb\n isb" ::: "memory");
}

// From here on the NPU sees what the core has written to the job's memory.
inline void lend(const Job& job) {
    cache::lend(job);
    barrier();
}

// From here on the core sees what the NPU has written.
inline void take_back(const Job& job) {
    barrier();
    cache::take_back(job);
}

}  // namespace mcu::ethos_u::bus
