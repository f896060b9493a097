// The UART of Nordic's nRF51 and nRF52 (nRF51 Series Reference Manual, "UART"), polled, transmit only. The
// board's setup chooses the pin; its divider is the register BAUDRATE.

#include <cstdint>

#include "mcu/platform.h"

namespace mcu::platform {
namespace {

volatile uint32_t& reg(uint32_t offset) {
    return *reinterpret_cast<volatile uint32_t*>(MCU_UART_BASE + offset);
}

constexpr uint32_t kStartTransmit = 0x008;
constexpr uint32_t kTransmitReady = 0x11C;
constexpr uint32_t kEnable = 0x500;
constexpr uint32_t kTransmitData = 0x51C;
constexpr uint32_t kBaudRate = 0x524;

}  // namespace

void write_console(std::string_view text) {
    reg(kBaudRate) = MCU_UART_DIVIDER;
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
