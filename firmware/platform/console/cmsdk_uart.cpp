// The UART of Arm's Cortex-M System Design Kit (Arm DDI0479, "APB UART"), polled, transmit only. The board's
// divider is the register BAUDDIV.

#include <cstdint>

#include "mcu/platform.h"

namespace mcu::platform {
namespace {

struct Uart {
    uint32_t data;
    uint32_t state;
    uint32_t control;
    uint32_t interrupt;
    uint32_t baud_divider;
};

constexpr uint32_t kTransmitFull = 1u << 0;
constexpr uint32_t kTransmitEnable = 1u << 0;

}  // namespace

void write_console(std::string_view text) {
    auto* const uart = reinterpret_cast<volatile Uart*>(MCU_UART_BASE);
    uart->baud_divider = MCU_UART_DIVIDER;
    uart->control = kTransmitEnable;
    for (const char character : text) {
        while (uart->state & kTransmitFull) {
        }
        uart->data = static_cast<unsigned char>(character);
    }
}

}  // namespace mcu::platform
