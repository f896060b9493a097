// Memory that a Cortex-M and the NPU share: who may look at it when.

#pragma once

#include "mcu/cache.h"
#include "mcu/drivers/ethos_u.h"

namespace mcu::ethos_u::bus {

using mcu::cache::barrier;

// The NPU's address of what the core has at `pointer`.
inline uint64_t address(const void* pointer) {
    return reinterpret_cast<uintptr_t>(pointer);
}

// From here on the NPU sees what the core has written to the job's memory.
inline void lend(const Job& job) {
    if (mcu::cache::is_on()) {
        mcu::cache::clean(job.commands.data, job.commands.size);
        mcu::cache::clean(job.weights.data, job.weights.size);
        mcu::cache::clean_and_invalidate(job.scratch.data, job.scratch.size);
        mcu::cache::clean_and_invalidate(job.fast_scratch.data, job.fast_scratch.size);
    }
    barrier();
}

// From here on the core sees what the NPU has written.
inline void take_back(const Job& job) {
    barrier();
    if (mcu::cache::is_on()) {
        mcu::cache::invalidate(job.scratch.data, job.scratch.size);
        mcu::cache::invalidate(job.fast_scratch.data, job.fast_scratch.size);
        barrier();
    }
}

}  // namespace mcu::ethos_u::bus
