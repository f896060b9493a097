// What the platform offers to the firmware above it: a console, an end, and the use of the stack.
//
// Three platforms implement this: semihosting (test images), UART (production images) and host (native
// programs).

#pragma once

#include <string_view>

#include "mcu/system.h"

namespace mcu::platform {

// Writes characters where a human sees them.
void write_console(std::string_view text);

}  // namespace mcu::platform
