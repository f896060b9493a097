// How the driver reaches the NPU from a Cortex-M: registers in memory, an interrupt of the NVIC, caches.

#pragma once

#include "bus_memory.h"
#include "cache.h"
#include "mcu/drivers/ethos_u.h"
#include "registers.h"

namespace mcu::ethos_u::bus {

inline volatile uint32_t& npu(uintptr_t offset) {
    return cache::reg(MCU_NPU_BASE + offset);
}

// A register of the NVIC that holds the NPU's bit.
inline void set_in_nvic(uintptr_t registers) {
    cache::reg(registers + 4 * (MCU_NPU_IRQ / 32)) = 1u << (MCU_NPU_IRQ % 32);
}

inline void enable_interrupt() {
    set_in_nvic(0xE000E100);  // ISER
}

inline void disable_interrupt() {
    set_in_nvic(0xE000E180);  // ICER
}

inline void forget_interrupt() {
    set_in_nvic(0xE000E280);  // ICPR
}

// Sleep until the interrupt has set `finished`. Interrupts are held off or let in afterwards as they were
// before; where they are held off, nobody but this looks at the NPU's.
inline void sleep_until(const volatile bool& finished) {
    uint32_t held_off;
    // With interrupts held off, none slips in between the test and the sleep; wfi ends all the same.
    __asm volatile("mrs %0, primask\n cpsid i" : "=r"(held_off)::"memory");
    while (!finished) {
        if (held_off == 0) {
            __asm volatile("dsb\n wfi\n cpsie i\n isb\n cpsid i" ::: "memory");
        } else if (npu(kStatus) & kIrqRaised) {
            handle_interrupt();
            forget_interrupt();
        }
    }
    if (held_off == 0) {
        __asm volatile("cpsie i" ::: "memory");
    }
}

}  // namespace mcu::ethos_u::bus
