// DWT's cycle counter, turned on at the first call (Armv7-M and Armv8-M Architecture Reference Manuals,
// "DWT").

#include "core.h"
#include "mcu/system.h"

namespace mcu::platform {

uint32_t cycles() {
#if MCU_MAINLINE
    constexpr uintptr_t kDemcr = 0xE000EDFC, kDwtControl = 0xE0001000, kDwtCycles = 0xE0001004;
    constexpr uint32_t kTraceEnable = 1u << 24, kCount = 1u << 0;
    reg(kDemcr) = reg(kDemcr) | kTraceEnable;
    reg(kDwtControl) = reg(kDwtControl) | kCount;
    return reg(kDwtCycles);
#else
    return 0;
#endif
}

}  // namespace mcu::platform
