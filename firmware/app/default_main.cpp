// The main of a production image for which the user has written none: runs the model on zeros and says so.
//
// Compiled with MCU_MODEL_HEADER, the model's header, and MCU_MODEL, its namespace.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include MCU_MODEL_HEADER
#include "mcu/platform.h"
#include "mcu/text.h"

namespace model = MCU_MODEL;

namespace {

using namespace std::string_view_literals;

// FNV-1a (Fowler, Noll, Vo), 32 bits: one number that tells whether two boards compute the same.
uint32_t hash_of_outputs() {
    uint32_t hash = 2166136261u;
    for (size_t index = 0; index < model::output_count; ++index) {
        for (const std::byte byte : model::output_bytes(index)) {
            hash = (hash ^ static_cast<uint32_t>(byte)) * 16777619u;
        }
    }
    return hash;
}

}  // namespace

int main() {
    for (size_t index = 0; index < model::input_count; ++index) {
        for (std::byte& byte : model::input_bytes(index)) {
            byte = std::byte{0};
        }
    }
    model::run();
    mcu::Text text;
    text.add("mcu: one inference on zeros, outputs hash to "sv).hexadecimal(hash_of_outputs()).add("\n"sv);
    mcu::platform::write_console(text.view());
    return 0;
}
