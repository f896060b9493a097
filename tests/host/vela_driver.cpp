// Reads payloads of EthosUBackend from standard input, each behind its size, and prints what
// mcu::vela::read() makes of each: "no <why>", or its numbers.

#include <array>
#include <cstdio>
#include <cstdlib>

#include "mcu/executorch/vela.h"

namespace vela = mcu::vela;

static void print(const char* name, const vela::Bindings& bindings) {
    std::printf(" %s", name);
    for (size_t index = 0; index < bindings.size(); ++index) {
        const vela::Binding binding = bindings[index];
        std::printf(" %u %u %u", binding.offset, binding.bytes, binding.element_bytes);
    }
}

// Beside the programs is the data of one name: 48 bytes of 7.
static vela::Bytes find(const void*, std::string_view name) {
    alignas(16) static constexpr auto kData = [] {
        std::array<std::byte, 48> bytes{};
        bytes.fill(std::byte{7});
        return bytes;
    }();
    return name == "key" ? vela::Bytes(kData) : vela::Bytes();
}

int main() {
    uint32_t size = 0;
    while (std::fread(&size, sizeof(size), 1, stdin) == 1) {
        // Exactly as many bytes: the sanitizer sees a read behind them.
        void* memory = nullptr;
        if (posix_memalign(&memory, 16, size) != 0 || std::fread(memory, 1, size, stdin) != size) {
            return 1;
        }
        const auto* const data = static_cast<const std::byte*>(memory);
        vela::Payload payload;
        if (const char* const wrong = vela::read({data, size}, find, nullptr, payload); wrong != nullptr) {
            std::printf("no %s\n", wrong);
        } else {
            const auto* const commands = reinterpret_cast<const std::byte*>(payload.commands.data());
            std::printf("%u %u %td %zu %td %zu %u", payload.configuration, payload.id, commands - data,
                        payload.commands.size_bytes(), payload.weights.data() - data, payload.weights.size(),
                        payload.scratch_bytes);
            print("in", payload.inputs);
            print("out", payload.outputs);
            std::printf("\n");
        }
        std::free(memory);
    }
    return 0;
}
