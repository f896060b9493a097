// The USART of ST's STM32F2 and STM32F4 (RM0090, "Universal synchronous asynchronous receiver transmitter"),
// polled, transmit only. The board's setup turns on its clock and its pin; its divider is the register BRR.

#include <cstdint>

#include "mcu/platform.h"

namespace mcu::platform {
namespace {

struct Usart {
    uint32_t status;
    uint32_t data;
    uint32_t baud_rate;
    uint32_t control1;
};

constexpr uint32_t kTransmitEmpty = 1u << 7;
constexpr uint32_t kTransmitEnable = 1u << 3;
constexpr uint32_t kUsartEnable = 1u << 13;

}  // namespace

void write_console(std::string_view text) {
    auto* const usart = reinterpret_cast<volatile Usart*>(MCU_UART_BASE);
    usart->baud_rate = MCU_UART_DIVIDER;
    usart->control1 = kUsartEnable | kTransmitEnable;
    for (const char character : text) {
        while ((usart->status & kTransmitEmpty) == 0) {
        }
        usart->data = static_cast<unsigned char>(character);
    }
}

}  // namespace mcu::platform
