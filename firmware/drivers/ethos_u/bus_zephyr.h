// How the driver reaches the NPU in an application of Zephyr: devicetree, interrupts and threads are
// Zephyr's.

#pragma once

#include <zephyr/devicetree.h>
#include <zephyr/irq.h>
#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

#include "bus_memory.h"
#include "mcu/drivers/ethos_u.h"
#include "nvic.h"

#define MCU_NPU_NODE DT_COMPAT_GET_ANY_STATUS_OKAY(arm_ethos_u)

namespace mcu::ethos_u::bus {

inline K_SEM_DEFINE(ended, 0, 1);

inline volatile uint32_t& npu(uintptr_t offset) {
    return *reinterpret_cast<volatile uint32_t*>(DT_REG_ADDR(MCU_NPU_NODE) + offset);
}

inline void on_interrupt(const void*) {
    handle_interrupt();
    k_sem_give(&ended);
}

inline void enable_interrupt() {
    IRQ_CONNECT(DT_IRQN(MCU_NPU_NODE), DT_IRQ(MCU_NPU_NODE, priority), on_interrupt, nullptr, 0);
    irq_enable(DT_IRQN(MCU_NPU_NODE));
}

inline void disable_interrupt() {
    irq_disable(DT_IRQN(MCU_NPU_NODE));
}

inline void forget_interrupt() {
    nvic::set(nvic::kForget, DT_IRQN(MCU_NPU_NODE));
    k_sem_reset(&ended);
}

// Other threads run until the interrupt has set `finished`.
inline void sleep_until(const volatile bool& finished) {
    while (!finished) {
        k_sem_take(&ended, K_FOREVER);
    }
}

[[noreturn]] inline void stop(const char* words, const Result& result) {
    printk("NPU: %s\n  STATUS 0x%08x, byte %u of the command stream\n", words,
           static_cast<unsigned>(result.status), static_cast<unsigned>(result.command));
    k_panic();
    CODE_UNREACHABLE;
}

}  // namespace mcu::ethos_u::bus
