// The defaults of mcu/npu.h.

#include "mcu/cache.h"
#include "mcu/drivers/ethos_u.h"
#ifndef __ZEPHYR__

#include "mcu/npu.h"

namespace ethos_u = mcu::ethos_u;

extern "C" {

void mcu_npu_interrupt() {
    ethos_u::handle_interrupt();
}

extern const uintptr_t mcu_npu_base __attribute__((weak));
extern const int32_t mcu_npu_irq __attribute__((weak));
const uintptr_t mcu_npu_base = MCU_NPU_BASE;
const int32_t mcu_npu_irq = MCU_NPU_IRQ;

[[gnu::weak]] uint64_t mcu_npu_address(const void* memory) {
    return reinterpret_cast<uintptr_t>(memory);
}

[[gnu::weak]] void mcu_npu_lend(const void* memory, size_t bytes, int written) {
    if (mcu::cache::is_on()) {
        mcu::cache::each_line(written ? mcu::cache::kCleanInvalidate : mcu::cache::kClean, memory, bytes);
    }
}

[[gnu::weak]] void mcu_npu_take_back(void* memory, size_t bytes) {
    if (mcu::cache::is_on()) {
        mcu::cache::invalidate(memory, bytes);
    }
}

[[gnu::weak]] void mcu_npu_failed(const char*, uint32_t, uint32_t) {
    __builtin_trap();
}

}  // extern "C"

#endif
