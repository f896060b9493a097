// What a board's registers need before main: power, wait states, clocks and pins, as its board file lists it.

#pragma once

#include <cstddef>
#include <cstdint>

namespace mcu::platform {

// What is done to the core's own registers has happened before the next instruction. Clears bits, sets bits,
// then waits until all bits of `wait` are 1. Where every bit is cleared, nothing is read.
struct SetupStep {
    uint32_t address;
    uint32_t width;  // bits: 16 or 32
    uint32_t clear;
    uint32_t set;
    uint32_t wait;
};

template <typename Word>
[[gnu::always_inline]] inline void perform(const SetupStep& step) {
    auto* const word = reinterpret_cast<volatile Word*>(step.address);
    const auto kept = static_cast<Word>(~step.clear);
    const auto old = kept == 0 ? Word{0} : static_cast<Word>(*word & kept);
    *word = static_cast<Word>(old | step.set);
    if (step.address >= 0xE0000000) {
        __asm volatile("dsb\n isb" ::: "memory");
    }
    while (step.wait != 0 && (*word & step.wait) != step.wait) {
    }
}

// Straight code, one store after the other: a watchdog's unlocking allows for few cycles in between.
template <const auto& kSteps, size_t kIndex = 0>
[[gnu::always_inline]] inline void perform_all() {
    if constexpr (kIndex < sizeof(kSteps) / sizeof(SetupStep)) {
        if constexpr (kSteps[kIndex].width == 16) {
            perform<uint16_t>(kSteps[kIndex]);
        } else {
            perform<uint32_t>(kSteps[kIndex]);
        }
        perform_all<kSteps, kIndex + 1>();
    }
}

}  // namespace mcu::platform
