// How the driver of an exported model reaches the NPU: as the application says.

#pragma once

#include "mcu/drivers/ethos_u.h"
#include "mcu/npu.h"
#include "nvic.h"
#include "registers.h"

namespace mcu::ethos_u::bus {

inline volatile uint32_t& npu(uintptr_t offset) {
    return *reinterpret_cast<volatile uint32_t*>(mcu_npu_base + offset);
}

inline void barrier() {
    __asm volatile("dsb\n isb" ::: "memory");
}

inline void set_in_nvic(nvic::Register first) {
    if (mcu_npu_irq >= 0) {
        nvic::set(first, static_cast<uint32_t>(mcu_npu_irq));
    }
}

inline void enable_interrupt() {
    set_in_nvic(nvic::kEnable);
}

inline void disable_interrupt() {
    set_in_nvic(nvic::kDisable);
}

inline void forget_interrupt() {
    set_in_nvic(nvic::kForget);
}

inline void look() {
    if (npu(kStatus) & kIrqRaised) {
        handle_interrupt();
        forget_interrupt();
    }
}

inline void sleep_until(const volatile bool& finished) {
    if (mcu_npu_irq >= 0) {
        nvic::sleep_until(finished, look);
    }
    while (!finished) {
        look();
    }
}

inline uint64_t address(const void* pointer) {
    return pointer == nullptr ? 0 : mcu_npu_address(pointer);
}

inline void lend(const Job& job) {
    mcu_npu_lend(job.commands.data, job.commands.size, 0);
    mcu_npu_lend(job.weights.data, job.weights.size, 0);
    mcu_npu_lend(job.scratch.data, job.scratch.size, 1);
    mcu_npu_lend(job.fast_scratch.data, job.fast_scratch.size, 1);
    barrier();
}

inline void take_back(const Job& job) {
    barrier();
    mcu_npu_take_back(job.scratch.data, job.scratch.size);
    mcu_npu_take_back(job.fast_scratch.data, job.fast_scratch.size);
    barrier();
}

[[noreturn]] inline void stop(const char* words, const Result& result) {
    mcu_npu_failed(words, result.status, result.command);
    __builtin_trap();
}

}  // namespace mcu::ethos_u::bus
