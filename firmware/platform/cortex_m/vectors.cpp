// The vector table, and the first instructions after reset.
//
// Handlers have CMSIS's names and are weak: an application that defines one takes it over. External
// interrupts come to mcu_handle_interrupt(number), weak too; that of an NPU to mcu_handle_npu(), which its
// driver defines.

#include "core.h"

extern "C" {

// In assembly, because no C++ runs before the stack limit and the floating-point unit are set up: a compiler
// may use vector registers in any function.
[[gnu::naked, gnu::used, noreturn]] void mcu_reset() {
    __asm volatile(
        "    cpsid i                    \n"
#if MCU_STACK_LIMIT
        "    ldr   r0, =__mcu_stack_limit \n"
        "    msr   msplim, r0           \n"
#endif
        // A debugger or a bootloader may come here with another stack.
        "    ldr   r0, =__mcu_stack_top \n"
        "    mov   sp, r0               \n"
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
        "    ldr   r0, =0xE000ED88      \n"  // CPACR: full access to CP10 and CP11
        "    ldr   r1, [r0]             \n"
        "    orr   r1, r1, #0x00F00000  \n"
        "    str   r1, [r0]             \n"
        "    dsb                        \n"
        "    isb                        \n"
#endif
        "    bl    mcu_start            \n"
        "    cpsie i                    \n"
        "    bl    main                 \n"
        "    bl    mcu_finish           \n");
}

void mcu_handle_interrupt(unsigned number);  // fault.cpp

static void dispatch_interrupt() {
    unsigned exception;
    __asm volatile("mrs %0, ipsr" : "=r"(exception));
    mcu_handle_interrupt(exception - 16);
}

#if defined(MCU_NPU_IRQ)
static_assert(MCU_NPU_IRQ < MCU_INTERRUPTS);
[[gnu::weak]] void mcu_handle_npu() {
    dispatch_interrupt();
}
#endif

void mcu_fault();

#define MCU_WEAK_HANDLER(name) [[gnu::weak, gnu::nothrow, gnu::alias("mcu_fault")]] void name()
MCU_WEAK_HANDLER(NMI_Handler);
MCU_WEAK_HANDLER(HardFault_Handler);
MCU_WEAK_HANDLER(MemManage_Handler);
MCU_WEAK_HANDLER(BusFault_Handler);
MCU_WEAK_HANDLER(UsageFault_Handler);
MCU_WEAK_HANDLER(SecureFault_Handler);
MCU_WEAK_HANDLER(SVC_Handler);
MCU_WEAK_HANDLER(DebugMon_Handler);
MCU_WEAK_HANDLER(PendSV_Handler);
MCU_WEAK_HANDLER(SysTick_Handler);

void mcu_fault_report(const uint32_t* frame);

// The report takes 512 bytes of the stack where what the core saved does not lie: at its low end, or, after
// an overflow, at its top.
[[gnu::naked, gnu::used]] void mcu_fault() {
    __asm volatile(
        "    mov   r0, sp               \n"
        "    mov   r1, lr               \n"
        "    movs  r2, #4               \n"
        "    tst   r1, r2               \n"  // EXC_RETURN.SPSEL: the frame is on the process stack
        "    beq   1f                   \n"
        "    mrs   r0, psp              \n"
        "1:                             \n"
#if MCU_STACK_LIMIT
        "    movs  r2, #0               \n"
        "    msr   msplim, r2           \n"
#endif
        "    ldr   r2, =__mcu_stack_limit + 512 \n"
        "    cmp   r0, r2               \n"
        "    bhs   2f                   \n"
        "    ldr   r2, =__mcu_stack_top \n"
        "2:  mov   sp, r2               \n"
        "    bl    mcu_fault_report     \n");
}

}  // extern "C"

namespace {

using Handler = void (*)();

struct Vectors {
    uint32_t* stack;
    Handler system[15];
    Handler external[MCU_INTERRUPTS];
};

constexpr Vectors make_vectors() {
    Vectors vectors{__mcu_stack_top,
                    {mcu_reset, NMI_Handler, HardFault_Handler, MemManage_Handler, BusFault_Handler,
                     UsageFault_Handler, SecureFault_Handler, nullptr, nullptr, nullptr, SVC_Handler,
                     DebugMon_Handler, nullptr, PendSV_Handler, SysTick_Handler},
                    {}};
    for (Handler& handler : vectors.external) {
        handler = dispatch_interrupt;
    }
#if defined(MCU_NPU_IRQ)
    vectors.external[MCU_NPU_IRQ] = mcu_handle_npu;
#endif
    return vectors;
}

}  // namespace

extern "C" [[gnu::section(".mcu_vectors"), gnu::used]] constinit const Vectors mcu_vectors = make_vectors();
