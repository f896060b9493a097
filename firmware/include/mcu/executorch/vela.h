// What Arm's compiler Vela made of a delegate, as ExecuTorch's exporter packs it for EthosUBackend.
//
// Blocks: a name of 16 bytes, u32 size, u8 external, 11 bytes reserved, the data, zeros up to a multiple
// of 16. vela_bin_stream (empty) is the first, vela_end_stream the last; between them are
//   cmd_data                a list for the driver: registers CONFIG and ID, then the command stream
//   weight_data             region 0
//   scratch_size            u32, bytes of region 1
//   inputs, outputs         i32 count, then nine i32 each: six dimensions, bytes of an element, offset,
//   region
// The data of an external block is the name under which its data are found beside the program.
// Numbers are little-endian, as the core is. python/mcu_build/npu/payload.py reads the same.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mcu::vela {

using Bytes = std::span<const std::byte>;

// A tensor in scratch memory.
struct Binding {
    uint32_t offset;
    uint32_t bytes;
    uint32_t element_bytes;
};

class Bindings {
public:
    Bindings() = default;
    explicit Bindings(Bytes rows) : rows_(rows) {}

    size_t size() const { return rows_.size() / kRowBytes; }
    Binding operator[](size_t index) const;

    static constexpr size_t kRowBytes = 36;

private:
    Bytes rows_;
};

// Everything stays where it is in the program.
struct Payload {
    std::span<const uint32_t> commands;
    uint32_t configuration = 0;
    uint32_t id = 0;
    Bytes weights;
    uint32_t scratch_bytes = 0;
    Bindings inputs;
    Bindings outputs;
};

// The data of that name, which `context` has; empty where there are none.
using Find = Bytes(const void* context, std::string_view name);

// Reads and checks a payload: null where all of it can be relied on, else what is wrong, in words. `find` is
// asked for external blocks.
const char* read(Bytes data, Find& find, const void* context, Payload& payload);

}  // namespace mcu::vela
