// Copies by whole lines: the C library's go byte by byte on small cores. Tensors, unless they are parts of
// others, are whole lines but for their end.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct alignas(16) Line {
    uint32_t words[4];
};

inline bool begins_a_line(const void* address) {
    return reinterpret_cast<uintptr_t>(address) % sizeof(Line) == 0;
}

}  // namespace mcu::kernels
