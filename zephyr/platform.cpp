// What the driver of the NPU asks of a platform, in Zephyr's words.

#include "mcu/platform.h"

#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

namespace mcu::platform {

void write_console(std::string_view text) {
    printk("%.*s", static_cast<int>(text.size()), text.data());
}

void exit(Status) {
    k_panic();
    CODE_UNREACHABLE;
}

}  // namespace mcu::platform
