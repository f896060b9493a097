// The end of a production image: nothing is left to run.

#include "mcu/system.h"

namespace mcu::platform {

void exit(Status /*status*/) {
    __asm volatile("cpsid i");
    for (;;) {
        __asm volatile("wfi");
    }
}

}  // namespace mcu::platform
