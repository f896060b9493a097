// The USART of ST's newer STM32 (F0, F3, F7, G, H, L, U; RM0433, "Universal synchronous/asynchronous receiver
// transmitter"), polled, transmit only. The board's setup turns on its clock and its pin; its divider is the
// register BRR.

#include <cstdint>

#include "mcu/platform.h"

namespace mcu::platform {
namespace {

struct Usart {
    uint32_t control1;
    uint32_t control2;
    uint32_t control3;
    uint32_t baud_rate;
    uint32_t others[3];
    uint32_t status;
    uint32_t clear;
    uint32_t receive;
    uint32_t transmit;
};

constexpr uint32_t kTransmitEmpty = 1u << 7;
constexpr uint32_t kUsartEnable = 1u << 0;
constexpr uint32_t kTransmitEnable = 1u << 3;

}  // namespace

void write_console(std::string_view text) {
    auto* const usart = reinterpret_cast<volatile Usart*>(MCU_UART_BASE);
    // The rate can be written only while the USART is off.
    if ((usart->control1 & kUsartEnable) == 0) {
        usart->baud_rate = MCU_UART_DIVIDER;
        usart->control1 = kUsartEnable | kTransmitEnable;
    }
    for (const char character : text) {
        while ((usart->status & kTransmitEmpty) == 0) {
        }
        usart->transmit = static_cast<unsigned char>(character);
    }
}

}  // namespace mcu::platform
