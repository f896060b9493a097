// A DMA's registers, from MCU_DMA_BASE on; in a test, a model of them.

#pragma once

#include <cstdint>

namespace mcu::platform::dma {

#if defined(MCU_DMA_MODEL)
uint32_t read(uint32_t offset);
void write(uint32_t offset, uint32_t value);
#else
inline uint32_t read(uint32_t offset) {
    return *reinterpret_cast<const volatile uint32_t*>(MCU_DMA_BASE + offset);
}

inline void write(uint32_t offset, uint32_t value) {
    *reinterpret_cast<volatile uint32_t*>(MCU_DMA_BASE + offset) = value;
}
#endif

inline uint32_t address_of(const void* data) {
    return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(data));
}

}  // namespace mcu::platform::dma
