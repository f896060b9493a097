// Maintenance of a Cortex-M's data cache, by address.
//
// Registers: Armv7-M and Armv8-M Architecture Reference Manuals, "Cache maintenance operations". Cores
// without a cache, and cores whose cache is off, have CCR.DC clear.

#pragma once

#include <cstddef>
#include <cstdint>

#include "mcu/drivers/ethos_u.h"

namespace mcu::ethos_u::cache {

// Lines of Cortex-M7, M55 and M85. Aligned memory of this size shares no line with other data.
inline constexpr uintptr_t kLine = 32;

enum Operation : uintptr_t {
    kInvalidate = 0xE000EF5C,       // DCIMVAC
    kClean = 0xE000EF68,            // DCCMVAC
    kCleanInvalidate = 0xE000EF70,  // DCCIMVAC
};

inline volatile uint32_t& reg(uintptr_t address) {
    return *reinterpret_cast<volatile uint32_t*>(address);
}

inline bool is_on() {
    constexpr uintptr_t kCcr = 0xE000ED14;
    constexpr uint32_t kDataCache = 1u << 16;
    return (reg(kCcr) & kDataCache) != 0;
}

// One operation on every line that `bytes` touches.
[[gnu::noinline]] inline void each_line(Operation operation, ConstBytes bytes) {
    const uintptr_t start = reinterpret_cast<uintptr_t>(bytes.data);
    for (uintptr_t line = start & ~(kLine - 1); line < start + bytes.size; line += kLine) {
        reg(operation) = static_cast<uint32_t>(line);
    }
}

// Before another master reads `bytes`.
inline void clean(ConstBytes bytes) {
    each_line(kClean, bytes);
}

// Before another master writes `bytes`: no line may be written back over what it wrote.
inline void clean_and_invalidate(Bytes bytes) {
    each_line(kCleanInvalidate, {bytes.data, bytes.size});
}

// After another master has written `bytes`: the core may have fetched lines ahead. A line at either end that
// holds other data too is written back first.
[[gnu::noinline]] inline void invalidate(Bytes bytes) {
    const uintptr_t start = reinterpret_cast<uintptr_t>(bytes.data);
    const uintptr_t head = (kLine - start % kLine) % kLine;
    if (bytes.size < head + kLine) {
        clean_and_invalidate(bytes);
        return;
    }
    const auto* const data = static_cast<const char*>(bytes.data);
    const uintptr_t whole = (bytes.size - head) / kLine * kLine;
    each_line(kCleanInvalidate, {data, head});
    each_line(kInvalidate, {data + head, whole});
    each_line(kCleanInvalidate, {data + head + whole, bytes.size - head - whole});
}

}  // namespace mcu::ethos_u::cache
