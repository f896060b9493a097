// Test images run under simulators, where there is no time.

#include "mcu/system.h"

namespace mcu::platform {

uint32_t cycles() {
    return 0;
}

}  // namespace mcu::platform
