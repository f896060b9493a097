// The end of a program, the use of the stack, cycles: what of platform.h needs no <string_view>, which takes
// five times as long to compile as all the rest of most platform sources.

#pragma once

#include <cstdint>

namespace mcu::platform {

// How a test image ends. mcu_build/simulate/outcome.py gives each status its words.
enum class Status : int {
    kOk = 0,
    kNoInputs = 10,       // inputs.bin is missing or empty
    kPartialVector = 11,  // inputs.bin does not hold a whole number of vectors
    kCannotRead = 12,     // reading inputs.bin failed
    kCannotWrite = 13,    // outputs.bin or status.txt could not be written
    kFault = 14,          // the core took a fault or an interrupt that nothing handles
    kStackOverflow = 15,  // the stack left its bounds
    kNpu = 16,            // the NPU reported an error
    kProgram = 17,        // ExecuTorch's runtime could not load or run its program
};

// Ends the program. A production image has nowhere to go: it stops here, with interrupts off.
[[noreturn]] void exit(Status status);

// Bytes of the stack that were ever used, and that there are. Both are 0 where the platform cannot tell
// (host).
struct StackUse {
    uint32_t used;
    uint32_t size;
};

StackUse stack_use();

// Cycles of the core so far, modulo 2^32, for differences; always 0 where nothing counts them (simulators,
// the host, cores without DWT).
uint32_t cycles();

// Whether the stack has reached its guard, the lowest bytes of its space.
bool stack_overflowed();

}  // namespace mcu::platform
