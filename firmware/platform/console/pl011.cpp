// Arm's PrimeCell UART, PL011 (Arm DDI0183), polled, transmit only. The board's setup turns on its clock and
// its pin; its divider is UARTIBRD in units of 64, and UARTFBRD.

#include <cstdint>

#include "mcu/platform.h"

namespace mcu::platform {
namespace {

volatile uint32_t& reg(uint32_t offset) {
    return *reinterpret_cast<volatile uint32_t*>(MCU_UART_BASE + offset);
}

constexpr uint32_t kData = 0x000;
constexpr uint32_t kFlags = 0x018;
constexpr uint32_t kIntegerBaudRate = 0x024;
constexpr uint32_t kFractionalBaudRate = 0x028;
constexpr uint32_t kLineControl = 0x02C;
constexpr uint32_t kControl = 0x030;

constexpr uint32_t kTransmitFull = 1u << 5;
constexpr uint32_t kEightBits = 3u << 5;
constexpr uint32_t kUartEnable = 1u << 0;
constexpr uint32_t kTransmitEnable = 1u << 8;

}  // namespace

void write_console(std::string_view text) {
    // Rate and format can be written only while the UART is off; the write to the format takes the rate over.
    if ((reg(kControl) & kUartEnable) == 0) {
        reg(kIntegerBaudRate) = MCU_UART_DIVIDER >> 6;
        reg(kFractionalBaudRate) = MCU_UART_DIVIDER & 0x3F;
        reg(kLineControl) = kEightBits;
        reg(kControl) = kUartEnable | kTransmitEnable;
    }
    for (const char character : text) {
        while (reg(kFlags) & kTransmitFull) {
        }
        reg(kData) = static_cast<unsigned char>(character);
    }
}

}  // namespace mcu::platform
