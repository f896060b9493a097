// A board without a console.

#include "mcu/platform.h"

namespace mcu::platform {

void write_console(std::string_view /*text*/) {}

}  // namespace mcu::platform
