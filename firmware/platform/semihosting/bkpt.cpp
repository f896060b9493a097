// Semihosting as Arm defines it: a breakpoint instruction that debugger or simulator know. Without one it is
// a fault.

#include "semihosting.h"

namespace mcu::platform::semihosting {

int32_t call(Operation operation, const void* argument) {
    register uint32_t r0 __asm("r0") = operation;
    register const void* r1 __asm("r1") = argument;
    __asm volatile("bkpt #0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return static_cast<int32_t>(r0);
}

}  // namespace mcu::platform::semihosting
