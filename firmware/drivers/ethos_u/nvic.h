// An interrupt of a Cortex-M, and sleep until it comes.
//
// Registers: Armv7-M and Armv8-M Architecture Reference Manuals, "Nested Vectored Interrupt Controller".

#pragma once

#include <cstdint>

namespace mcu::ethos_u::nvic {

enum Register : uintptr_t { kEnable = 0xE000E100, kDisable = 0xE000E180, kForget = 0xE000E280 };

inline void set(Register first, uint32_t irq) {
    *reinterpret_cast<volatile uint32_t*>(first + 4 * (irq / 32)) = 1u << (irq % 32);
}

// Sleep until the interrupt has set `finished`. Interrupts are held off or let in afterwards as they were
// before; where they are held off, nobody but `look` sees to the NPU's.
template <typename Look>
void sleep_until(const volatile bool& finished, Look look) {
    uint32_t held_off;
    // With interrupts held off, none slips in between the test and the sleep; wfi ends all the same.
    __asm volatile("mrs %0, primask\n cpsid i" : "=r"(held_off)::"memory");
    while (!finished) {
        if (held_off == 0) {
            __asm volatile("dsb\n wfi\n cpsie i\n isb\n cpsid i" ::: "memory");
        } else {
            look();
        }
    }
    if (held_off == 0) {
        __asm volatile("cpsie i" ::: "memory");
    }
}

}  // namespace mcu::ethos_u::nvic
