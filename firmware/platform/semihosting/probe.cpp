// Semihosting through the memory access of any debug probe: the host keeps a breakpoint at mcu_probe_call,
// finds the operation in r0 and the address of its block in r1, reads and writes memory, and lets the core go
// on at lr with the result in r0. So the body below is never executed: where it is, no host is there, and the
// image waits for one.

#include "semihosting.h"

// In assembly, because a compiler that sees the body would leave out the arguments.
__asm(
    ".pushsection .text.mcu_probe_call, \"ax\", %progbits \n"
    ".global mcu_probe_call                \n"
    ".type mcu_probe_call, %function       \n"
    ".thumb_func                           \n"
    "mcu_probe_call:                       \n"
    "    b mcu_probe_call                  \n"
    ".size mcu_probe_call, . - mcu_probe_call \n"
    ".popsection                           \n");

extern "C" int32_t mcu_probe_call(uint32_t operation, const void* argument);

namespace mcu::platform::semihosting {

int32_t call(Operation operation, const void* argument) {
    return mcu_probe_call(operation, argument);
}

}  // namespace mcu::platform::semihosting
