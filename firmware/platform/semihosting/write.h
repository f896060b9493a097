// Characters to the debugger's console.

#pragma once

#include <cstring>
#include <string_view>

#include "semihosting.h"

namespace mcu::platform::semihosting {

// SYS_WRITE0 needs a zero byte at the end.
inline void write(std::string_view text) {
    char piece[64];
    while (!text.empty()) {
        const size_t count = text.size() < sizeof(piece) - 1 ? text.size() : sizeof(piece) - 1;
        std::memcpy(piece, text.data(), count);
        piece[count] = '\0';
        call(kWrite0, piece);
        text.remove_prefix(count);
    }
}

}  // namespace mcu::platform::semihosting
