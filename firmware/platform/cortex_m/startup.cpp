// From the first C++ to main, and what the C library asks of a platform.

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core.h"
#include "mcu/system.h"
#include "setup.h"

namespace mcu::platform {
namespace {

#if defined(MCU_SETUP)
constexpr SetupStep kSetup[] = {MCU_SETUP};
#endif

size_t bytes_between(const uint32_t* first, const uint32_t* last) {
    return reinterpret_cast<uintptr_t>(last) - reinterpret_cast<uintptr_t>(first);
}

// What lies below sp. No call and no interrupt may come in between. Most of what is executed before main:
// assembly, because a compiler stores words one by one.
void paint_stack() {
    uint32_t* word = __mcu_stack_limit;
    uint32_t* end;
    __asm volatile("mov %0, sp" : "=r"(end));
    const uint32_t* blocks = word + (end - word) / 16 * 16;
    __asm volatile(
        "    mov   r4, %[paint]      \n"
        "    mov   r5, %[paint]      \n"
        "    mov   r6, %[paint]      \n"
        "    b     2f                \n"
        "1:  stmia %[word]!, {r4-r6} \n"
        "    stmia %[word]!, {r4-r6} \n"
        "    stmia %[word]!, {r4-r6} \n"
        "    stmia %[word]!, {r4-r6} \n"
        "    stmia %[word]!, {r4-r6} \n"
        "    stmia %[word]!, {r6}    \n"
        "2:  cmp   %[word], %[blocks] \n"
        "    bne   1b                \n"
        "    b     4f                \n"
        "3:  stmia %[word]!, {r6}    \n"
        "4:  cmp   %[word], %[end]   \n"
        "    bne   3b                \n"
        : [word] "+l"(word)
        : [paint] "l"(kPaint), [blocks] "l"(blocks), [end] "l"(end)
        : "r4", "r5", "r6", "cc", "memory");
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
// There where the application uses stdio.
[[gnu::weak]] int fflush(void* file);

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
    if (fflush != nullptr) {
        fflush(nullptr);
    }
    mcu::platform::exit(static_cast<mcu::platform::Status>(status));
}

// newlib's mathematics set errno. Its own errno lives in a structure of some hundred bytes for stdio.
int* __errno() {
    static int value;
    return &value;
}

#if defined(__ARM_FEATURE_MVE)
// newlib's take 400 bytes, and do not use vectors.
[[gnu::naked]] void* memcpy(void*, const void*, size_t) {
    __asm volatile(
        "    push   {r0, lr}           \n"
        "    wlstp.8 lr, r2, 2f        \n"
        "1:  vldrb.u8 q0, [r1], #16    \n"
        "    vstrb.8 q0, [r0], #16     \n"
        "    letp   lr, 1b             \n"
        "2:  pop    {r0, pc}           \n");
}
[[gnu::naked]] void* memset(void*, int, size_t) {
    __asm volatile(
        "    push   {r0, lr}           \n"
        "    vdup.8 q0, r1             \n"
        "    wlstp.8 lr, r2, 2f        \n"
        "1:  vstrb.8 q0, [r0], #16     \n"
        "    letp   lr, 1b             \n"
        "2:  pop    {r0, pc}           \n");
}
#endif

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
