// How the driver reaches the NPU from a Cortex-M: registers in memory, an interrupt of the NVIC, caches.

#pragma once

#include "bus_memory.h"
#include "mcu/drivers/ethos_u.h"
#include "nvic.h"
#include "registers.h"
#include "stop.h"

namespace mcu::ethos_u::bus {

inline volatile uint32_t& npu(uintptr_t offset) {
    return *reinterpret_cast<volatile uint32_t*>(MCU_NPU_BASE + offset);
}

inline void enable_interrupt() {
    nvic::set(nvic::kEnable, MCU_NPU_IRQ);
}

inline void disable_interrupt() {
    nvic::set(nvic::kDisable, MCU_NPU_IRQ);
}

inline void forget_interrupt() {
    nvic::set(nvic::kForget, MCU_NPU_IRQ);
}

inline void sleep_until(const volatile bool& finished) {
    nvic::sleep_until(finished, [] {
        if (npu(kStatus) & kIrqRaised) {
            handle_interrupt();
            forget_interrupt();
        }
    });
}

}  // namespace mcu::ethos_u::bus

// Takes the place of the weak one in the vector table.
extern "C" void mcu_handle_npu() {
    mcu::ethos_u::handle_interrupt();
}
