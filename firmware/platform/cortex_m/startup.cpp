// From the first C++ to main, and what the C library asks of a platform.

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core.h"
#include "mcu/platform.h"
#include "setup.h"

namespace mcu::platform {
namespace {

#if defined(MCU_SETUP)
constexpr SetupStep kSetup[] = {MCU_SETUP};
#endif

size_t bytes_between(const uint32_t* first, const uint32_t* last) {
    return reinterpret_cast<uintptr_t>(last) - reinterpret_cast<uintptr_t>(first);
}

// What lies below sp. No call and no interrupt may come in between.
void paint_stack() {
    const volatile uint32_t* end;
    __asm volatile("mov %0, sp" : "=r"(end));
    volatile uint32_t* word = __mcu_stack_limit;
    // Eight at a time: most of what is executed before main.
    for (; word + 8 <= end; word += 8) {
        word[0] = kPaint;
        word[1] = kPaint;
        word[2] = kPaint;
        word[3] = kPaint;
        word[4] = kPaint;
        word[5] = kPaint;
        word[6] = kPaint;
        word[7] = kPaint;
    }
    for (; word < end; ++word) {
        *word = kPaint;
    }
}

}  // namespace

StackUse stack_use() {
    const volatile uint32_t* lowest = __mcu_stack_limit;
    while (lowest < __mcu_stack_top && *lowest == kPaint) {
        ++lowest;
    }
    const uintptr_t top = reinterpret_cast<uintptr_t>(__mcu_stack_top);
    return {static_cast<uint32_t>(top - reinterpret_cast<uintptr_t>(lowest)),
            static_cast<uint32_t>(bytes_between(__mcu_stack_limit, __mcu_stack_top))};
}

bool stack_overflowed() {
    for (uint32_t word = 0; word < kGuardWords; ++word) {
        if (static_cast<const volatile uint32_t*>(__mcu_stack_limit)[word] != kPaint) {
            return true;
        }
    }
    return false;
}

}  // namespace mcu::platform

extern "C" {

extern const uint32_t mcu_vectors[];

void mcu_start() {
    using namespace mcu::platform;
#if defined(MCU_SETUP)
    perform_all<kSetup>();
#endif
#if !defined(__ARM_ARCH_6M__)
    reg(kVtor) = reinterpret_cast<uintptr_t>(mcu_vectors);
#endif
#if MCU_MAINLINE
    reg(kCcr) = reg(kCcr) | kCcrTrapDivideByZero;
#endif
#if defined(__ARM_ARCH_8_1M_MAIN__)
    reg(kCcr) = reg(kCcr) | kCcrLowOverheadBranch;
#endif
    std::memcpy(__mcu_data_start, __mcu_data_load, bytes_between(__mcu_data_start, __mcu_data_end));
    std::memset(__mcu_bss_start, 0, bytes_between(__mcu_bss_start, __mcu_bss_end));
    paint_stack();
}

[[noreturn]] void mcu_finish(int status) {
    mcu::platform::exit(static_cast<mcu::platform::Status>(status));
}

// newlib's mathematics set errno. Its own errno lives in a structure of some hundred bytes for stdio.
int* __errno() {
    static int value;
    return &value;
}

#if !MCU_MAINLINE
// The division routines of libgcc and compiler-rt come here to divide by zero; fault.cpp knows this
// instruction.
[[gnu::naked]] int __aeabi_idiv0() {
    __asm volatile("udf #0xD0");
}
[[gnu::naked]] long long __aeabi_ldiv0() {
    __asm volatile("udf #0xD0");
}
#endif

}  // extern "C"
