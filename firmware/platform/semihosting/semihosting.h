// Arm semihosting: calls that a debugger or a simulator answers (Arm IHI 0203, "Semihosting for AArch32 and
// AArch64").

#pragma once

#include <cstdint>

namespace mcu::platform::semihosting {

enum Operation : uint32_t {
    kOpen = 0x01,
    kClose = 0x02,
    kWrite0 = 0x04,
    kWrite = 0x05,
    kRead = 0x06,
    kFileLength = 0x0C,
    kExitExtended = 0x20,
};

// The operation's result. `argument` is its block of words, or its one argument. How the call reaches the
// debugger is the image's choice: bkpt.cpp or probe.cpp.
int32_t call(Operation operation, const void* argument);

inline uint32_t word(const void* pointer) {
    return reinterpret_cast<uintptr_t>(pointer);
}

}  // namespace mcu::platform::semihosting
