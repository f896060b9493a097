// Registers of a Cortex-M core, and the symbols of the generated linker script.
//
// Addresses and bits: Armv6-M, Armv7-M and Armv8-M Architecture Reference Manuals, "System Control Space".

#pragma once

#include <cstdint>

// Armv7-M, Armv8-M Mainline: fault status registers, configurable traps.
#if defined(__ARM_ARCH_7M__) || defined(__ARM_ARCH_7EM__) || defined(__ARM_ARCH_8M_MAIN__) || \
    defined(__ARM_ARCH_8_1M_MAIN__)
#define MCU_MAINLINE 1
#else
#define MCU_MAINLINE 0
#endif

// Armv8-M Mainline: stack limit registers.
#if defined(__ARM_ARCH_8M_MAIN__) || defined(__ARM_ARCH_8_1M_MAIN__)
#define MCU_STACK_LIMIT 1
#else
#define MCU_STACK_LIMIT 0
#endif

extern "C" {
extern uint32_t __mcu_data_start[], __mcu_data_end[];
extern const uint32_t __mcu_data_load[];
extern uint32_t __mcu_bss_start[], __mcu_bss_end[];
extern const uint32_t __mcu_code_start[], __mcu_code_end[];
extern uint32_t __mcu_stack_limit[], __mcu_stack_top[];
}

namespace mcu::platform {

inline volatile uint32_t& reg(uintptr_t address) {
    return *reinterpret_cast<volatile uint32_t*>(address);
}

inline constexpr uintptr_t kVtor = 0xE000ED08;
inline constexpr uintptr_t kCcr = 0xE000ED14;
inline constexpr uintptr_t kCfsr = 0xE000ED28;
inline constexpr uintptr_t kHfsr = 0xE000ED2C;
inline constexpr uintptr_t kMmfar = 0xE000ED34;
inline constexpr uintptr_t kBfar = 0xE000ED38;
inline constexpr uintptr_t kSfsr = 0xE000EDE4;

inline constexpr uint32_t kCcrTrapDivideByZero = 1u << 4;
inline constexpr uint32_t kCcrLowOverheadBranch = 1u << 19;

// The stack is filled with this before main, and its lowest words must still hold it at the end.
inline constexpr uint32_t kPaint = 0xC5C5C5C5;
inline constexpr uint32_t kGuardWords = 8;

}  // namespace mcu::platform
