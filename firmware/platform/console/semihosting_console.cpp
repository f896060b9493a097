// A console that a debugger shows. Without one, the first character is a fault.

#include "../semihosting/write.h"
#include "mcu/platform.h"

namespace mcu::platform {

void write_console(std::string_view text) {
    semihosting::write(text);
}

}  // namespace mcu::platform
