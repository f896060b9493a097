// The end of a program whose NPU reports an error, on our platforms.

#pragma once

#include "mcu/drivers/ethos_u.h"
#include "mcu/platform.h"
#include "mcu/text.h"

namespace mcu::ethos_u::bus {

[[noreturn]] inline void stop(const char* words, const Result& result) {
    platform::write_console("NPU: ");
    platform::write_console(words);
    Text text;
    text.add("\n  STATUS ").hexadecimal(result.status);
    text.add(", byte ").decimal(result.command).add(" of the command stream\n");
    platform::write_console(text.view());
    platform::exit(platform::Status::kNpu);
}

}  // namespace mcu::ethos_u::bus
