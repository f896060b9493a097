// Maintenance of a Cortex-M's data cache, by address.
//
// Registers: Armv7-M and Armv8-M Architecture Reference Manuals, "Cache maintenance operations". Cores
// without a cache, and cores whose cache is off, have CCR.DC clear; others than a Cortex-M have none here.

#pragma once

#include <cstddef>
#include <cstdint>

namespace mcu::cache {

// Lines of Cortex-M7, M55 and M85. Aligned memory of this size shares no line with other data.
inline constexpr uintptr_t kLine = 32;

enum Operation : uintptr_t {
    kInvalidate = 0xE000EF5C,       // DCIMVAC
    kClean = 0xE000EF68,            // DCCMVAC
    kCleanInvalidate = 0xE000EF70,  // DCCIMVAC
};

#if defined(MCU_CACHE_MODEL)
// A test's model of a cache.
bool is_on();
void operate(Operation operation, uintptr_t line);
#elif defined(__arm__)
inline volatile uint32_t& reg(uintptr_t address) {
    return *reinterpret_cast<volatile uint32_t*>(address);
}

inline bool is_on() {
    constexpr uintptr_t kCcr = 0xE000ED14;
    constexpr uint32_t kDataCache = 1u << 16;
    return (reg(kCcr) & kDataCache) != 0;
}

inline void operate(Operation operation, uintptr_t line) {
    reg(operation) = static_cast<uint32_t>(line);
}

inline void barrier() {
    __asm volatile("dsb\n isb" ::: "memory");
}
#else
inline bool is_on() {
    return false;
}

inline void operate(Operation, uintptr_t) {}
#endif

#if !defined(__arm__)
inline void barrier() {
    __asm volatile("" ::: "memory");
}
#endif

// One operation on every line that the bytes touch.
[[gnu::noinline]] inline void each_line(Operation operation, const void* data, size_t bytes) {
    const uintptr_t start = reinterpret_cast<uintptr_t>(data);
    for (uintptr_t line = start & ~(kLine - 1); line < start + bytes; line += kLine) {
        operate(operation, line);
    }
}

// Before another master reads these bytes.
inline void clean(const void* data, size_t bytes) {
    each_line(kClean, data, bytes);
}

// Before another master writes these bytes: no line may be written back over what it wrote.
inline void clean_and_invalidate(const void* data, size_t bytes) {
    each_line(kCleanInvalidate, data, bytes);
}

// After another master has written these bytes: the core may have fetched lines ahead. A line at either end
// that holds other data too is written back first.
[[gnu::noinline]] inline void invalidate(const void* data, size_t bytes) {
    const uintptr_t start = reinterpret_cast<uintptr_t>(data);
    const uintptr_t head = (kLine - start % kLine) % kLine;
    if (bytes < head + kLine) {
        clean_and_invalidate(data, bytes);
        return;
    }
    const auto* const first = static_cast<const char*>(data);
    const uintptr_t whole = (bytes - head) / kLine * kLine;
    each_line(kCleanInvalidate, first, head);
    each_line(kInvalidate, first + head, whole);
    each_line(kCleanInvalidate, first + head + whole, bytes - head - whole);
}

}  // namespace mcu::cache
