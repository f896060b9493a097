// The UART of NXP's Kinetis K (K64P144M120SF5RM, "Universal Asynchronous Receiver/Transmitter"), polled,
// transmit only. The board's setup turns on its clock and its pin; its divider is SBR in units of 32, and
// BRFA.

#include <cstdint>

#include "mcu/platform.h"

namespace mcu::platform {
namespace {

struct Uart {
    uint8_t baud_high;
    uint8_t baud_low;
    uint8_t control1;
    uint8_t control2;
    uint8_t status1;
    uint8_t status2;
    uint8_t control3;
    uint8_t data;
    uint8_t match[2];
    uint8_t control4;
};

constexpr uint8_t kTransmitEnable = 1u << 3;
constexpr uint8_t kTransmitEmpty = 1u << 7;

}  // namespace

void write_console(std::string_view text) {
    auto* const uart = reinterpret_cast<volatile Uart*>(MCU_UART_BASE);
    // The low byte of the rate takes the high one over.
    if ((uart->control2 & kTransmitEnable) == 0) {
        uart->baud_high = static_cast<uint8_t>(MCU_UART_DIVIDER >> 13);
        uart->baud_low = static_cast<uint8_t>(MCU_UART_DIVIDER >> 5);
        uart->control4 = MCU_UART_DIVIDER & 0x1F;
        uart->control2 = kTransmitEnable;
    }
    for (const char character : text) {
        while ((uart->status1 & kTransmitEmpty) == 0) {
        }
        uart->data = static_cast<uint8_t>(character);
    }
}

}  // namespace mcu::platform
