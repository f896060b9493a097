// The UART of Nordic's nRF51 (nRF51 Series Reference Manual, "UART"), polled, transmit only, 115200 baud, TXD
// on P0.24 as on the BBC micro:bit.

#include <cstdint>

#include "mcu/platform.h"

namespace mcu::platform {
namespace {

volatile uint32_t& reg(uint32_t offset) {
    return *reinterpret_cast<volatile uint32_t*>(MCU_CONSOLE_BASE + offset);
}

constexpr uint32_t kStartTransmit = 0x008;
constexpr uint32_t kTransmitReady = 0x11C;
constexpr uint32_t kEnable = 0x500;
constexpr uint32_t kTransmitPin = 0x50C;
constexpr uint32_t kTransmitData = 0x51C;
constexpr uint32_t kBaudRate = 0x524;

}  // namespace

void write_console(std::string_view text) {
    reg(kTransmitPin) = 24;
    reg(kBaudRate) = 0x01D7E000;
    reg(kEnable) = 4;
    reg(kStartTransmit) = 1;
    for (const char character : text) {
        reg(kTransmitReady) = 0;
        reg(kTransmitData) = static_cast<unsigned char>(character);
        while (reg(kTransmitReady) == 0) {
        }
    }
}

}  // namespace mcu::platform
