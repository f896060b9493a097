#include "mcu/kernels/dma.h"

#include <cstring>

#include "mcu/cache.h"
#include "mcu/dma.h"

extern "C" {

[[gnu::weak]] void mcu_dma_start(void* to, const void* from, size_t bytes) {
    std::memcpy(to, from, bytes);
}

[[gnu::weak]] void mcu_dma_wait() {}

}  // extern "C"

namespace mcu::kernels {

void dma_start(const CopyParams& params, const void* input, void* output) {
    const auto bytes = static_cast<size_t>(params.bytes);
    if (mcu::cache::is_on()) {
        // Weights in RAM may have been written by the core; no line may be written back over the copy.
        mcu::cache::clean(input, bytes);
        mcu::cache::clean_and_invalidate(output, bytes);
    }
    mcu::cache::barrier();
    mcu_dma_start(output, input, bytes);
}

void dma_wait(const CopyParams& params, void* output) {
    mcu_dma_wait();
    mcu::cache::barrier();
    if (mcu::cache::is_on()) {
        // What the core may have fetched ahead is old.
        mcu::cache::invalidate(output, static_cast<size_t>(params.bytes));
        mcu::cache::barrier();
    }
}

}  // namespace mcu::kernels
