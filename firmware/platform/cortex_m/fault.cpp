// Says what went wrong: the fault's name, the registers it stacked, the address it was about.

#include <cstdint>
#include <string_view>

#include "core.h"
#include "mcu/platform.h"
#include "mcu/text.h"

namespace mcu::platform {
namespace {

// What the core pushes on entry to an exception, lowest address first.
enum Stacked { kR0, kR1, kR2, kR3, kR12, kLr, kPc, kXpsr, kFrameWords };

using namespace std::string_view_literals;

// Text buffers stay in functions that are not inlined: the report has 512 bytes of stack.
[[gnu::noinline]] void write_value(std::string_view name, uint32_t value) {
    write_console(Text().add(name).hexadecimal(value).view());
}

// Whether the core has saved registers at `frame`. One that met the stack limit on the way leaves sp at the
// limit.
bool is_saved(const uint32_t* frame) {
    return frame > __mcu_stack_limit && frame + kFrameWords <= __mcu_stack_top;
}

#if MCU_MAINLINE

struct Cause {
    uint32_t bit;
    std::string_view name;
};

// CFSR: bits 0..7 MMFSR, 8..15 BFSR, 16..31 UFSR. The first that is set names the fault, so those that follow
// from others come last.
constexpr Cause kCauses[] = {
    {1u << 20, "stack overflow"},
    {1u << 25, "divide by zero"},
    {1u << 24, "unaligned access"},
    {1u << 19, "no such coprocessor, or the floating-point unit is off"},
    {1u << 18, "invalid exception return"},
    {1u << 17, "invalid state: a branch to an address without the Thumb bit"},
    {1u << 16, "undefined instruction"},
    {1u << 0, "instruction fetch from memory that may not be executed"},
    {1u << 1, "memory protection fault"},
    {1u << 8, "bus fault: instruction fetch"},
    {1u << 9, "bus fault"},
    {1u << 10, "bus fault, reported late: pc is past the access"},
    {1u << 12, "bus fault: pushing an exception frame"},
    {1u << 4, "memory protection fault: pushing an exception frame"},
    {1u << 11, "bus fault: popping an exception frame"},
    {1u << 3, "memory protection fault: popping an exception frame"},
    {1u << 13, "bus fault: saving floating-point registers"},
    {1u << 5, "memory protection fault: saving floating-point registers"},
};
constexpr uint32_t kStackOverflow = 1u << 20;
constexpr uint32_t kMmfarValid = 1u << 7;
constexpr uint32_t kBfarValid = 1u << 15;
constexpr uint32_t kHardFaultVectorTable = 1u << 1;

std::string_view cause(const uint32_t* /*frame*/, uint32_t exception) {
    const uint32_t status = reg(kCfsr);
    for (const Cause& cause : kCauses) {
        if (status & cause.bit) {
            return cause.name;
        }
    }
    if (reg(kHfsr) & kHardFaultVectorTable) {
        return "bus fault: reading the vector table";
    }
#if MCU_STACK_LIMIT
    if (reg(kSfsr) != 0) {
        return "secure fault";
    }
#endif
    return exception <= 7 ? "hard fault"sv : "an exception that nothing handles"sv;
}

bool is_stack_overflow() {
    return (reg(kCfsr) & kStackOverflow) != 0;
}

void write_address() {
    const uint32_t status = reg(kCfsr);
    if (status & kBfarValid) {
        write_value("  address "sv, reg(kBfar));
        write_console("\n"sv);
    } else if (status & kMmfarValid) {
        write_value("  address "sv, reg(kMmfar));
        write_console("\n"sv);
    }
    write_value("  cfsr "sv, status);
    write_value("  hfsr "sv, reg(kHfsr));
    write_console("\n"sv);
}

#else

// Armv6-M and Armv8-M Baseline have one fault and no status register: the instruction at pc tells some.
std::string_view cause(const uint32_t* frame, uint32_t exception) {
    if (exception > 3) {
        return "an exception that nothing handles";
    }
    if (!is_saved(frame)) {
        return "hard fault";
    }
    constexpr uint32_t kThumb = 1u << 24;
    if ((frame[kXpsr] & kThumb) == 0) {
        return "invalid state: a branch to an address without the Thumb bit";
    }
    const uint32_t pc = frame[kPc];
    if (pc < reinterpret_cast<uintptr_t>(__mcu_code_start) ||
        pc >= reinterpret_cast<uintptr_t>(__mcu_code_end)) {
        return "branch to an address that holds no code";
    }
    const uint16_t instruction = *reinterpret_cast<const uint16_t*>(pc & ~1u);
    if (instruction == 0xDED0) {
        return "divide by zero";
    }
    if ((instruction & 0xFF00) == 0xDE00) {
        return "undefined instruction";
    }
    // Loads and stores of 16 bits: encodings 0101 to 1001 and 1100.
    const unsigned group = instruction >> 12;
    if ((group >= 5 && group <= 9) || group == 12) {
        return "bus fault or unaligned access";
    }
    return "hard fault";
}

bool is_stack_overflow() {
    return false;
}

void write_address() {}

#endif

void write_registers(const uint32_t* frame) {
    if (!is_saved(frame)) {
        write_value("  sp "sv, reinterpret_cast<uintptr_t>(frame));
        write_console(" has left the stack: no registers were saved\n"sv);
        return;
    }
    static constexpr struct {
        Stacked index;
        std::string_view name;
    } kRegisters[] = {{kPc, "  pc "}, {kLr, "  lr "}, {kXpsr, "  xpsr "}, {kR0, "\n  r0 "},
                      {kR1, "  r1 "}, {kR2, "  r2 "}, {kR3, "  r3 "},     {kR12, "  r12 "}};
    for (const auto& entry : kRegisters) {
        write_value(entry.name, frame[entry.index]);
    }
    write_value("\n  sp "sv, reinterpret_cast<uintptr_t>(frame + kFrameWords));
    write_console("\n"sv);
}

[[gnu::noinline]] void write_exception(uint32_t number) {
    write_console(Text().add(" (exception "sv).decimal(number).add(")\n"sv).view());
}

}  // namespace
}  // namespace mcu::platform

extern "C" [[noreturn, gnu::used]] void mcu_fault_report(const uint32_t* frame) {
    using namespace mcu::platform;
    uint32_t exception;
    __asm volatile("mrs %0, ipsr" : "=r"(exception));
    // Memory below the stack may take writes without a word: then the painted guard tells.
    const bool overflow = is_stack_overflow() || frame < __mcu_stack_limit || stack_overflowed();
    write_console("mcu: fault: "sv);
    write_console(overflow ? "stack overflow"sv : cause(frame, exception));
    write_exception(exception);
    write_registers(frame);
    write_address();
    exit(overflow ? Status::kStackOverflow : Status::kFault);
}

extern "C" [[gnu::weak]] void mcu_handle_interrupt(unsigned number) {
    using namespace mcu::platform;
    write_console(
        mcu::Text().add("mcu: fault: nothing handles interrupt "sv).decimal(number).add("\n"sv).view());
    exit(Status::kFault);
}
