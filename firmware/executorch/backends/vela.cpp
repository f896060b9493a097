#include "mcu/executorch/vela.h"

#include <cstring>

namespace mcu::vela {
namespace {

constexpr size_t kHeaderBytes = 32;
constexpr size_t kNameBytes = 16;
constexpr uintptr_t kAlignment = 16;
constexpr uint32_t kScratchRegion = 1;

constexpr char kCutShort[] = "the payload is cut short";
constexpr char kNoStream[] = "there is no command stream in a format that is known";

// The number at byte `offset`, which is there.
uint32_t word(Bytes data, size_t offset) {
    uint32_t value;
    std::memcpy(&value, data.data() + offset, sizeof(value));
    return value;
}

bool begins_with(Bytes data, std::string_view magic) {
    return data.size() >= magic.size() && std::memcmp(data.data(), magic.data(), magic.size()) == 0;
}

bool is_aligned(const void* pointer) {
    return reinterpret_cast<uintptr_t>(pointer) % kAlignment == 0;
}

// The bytes of a tensor, or more than 32 bits can tell.
uint64_t bytes_of(Bytes row) {
    uint64_t bytes = word(row, 24);
    for (size_t dimension = 0; dimension < 6; ++dimension) {
        const uint64_t size = word(row, 4 * dimension);
        if (bytes > UINT32_MAX || size > INT32_MAX) {
            return UINT64_MAX;
        }
        bytes *= size;
    }
    return bytes;
}

const char* read_stream(Bytes data, size_t offset, size_t bytes, Payload& payload) {
    if (bytes == 0 || offset > data.size() || bytes > data.size() - offset) {
        return kCutShort;
    }
    const std::byte* const start = data.data() + offset;
    if (!is_aligned(start) || bytes % sizeof(uint32_t) != 0) {
        return "the command stream is not aligned to 16 bytes";
    }
    payload.commands = {reinterpret_cast<const uint32_t*>(start), bytes / sizeof(uint32_t)};
    return nullptr;
}

// "COP1", then actions: a word whose low byte says what, and its data.
const char* read_first_format(Bytes data, Payload& payload) {
    enum Action : uint32_t { kConfiguration = 1, kStream = 2, kNothing = 5 };
    bool is_configured = false;
    for (size_t at = 4; data.size() - at >= sizeof(uint32_t);) {
        const uint32_t action = word(data, at);
        at += sizeof(uint32_t);
        switch (action & 0xFF) {
            case kNothing:
                break;
            case kConfiguration:
                if (data.size() - at < 2 * sizeof(uint32_t)) {
                    return kCutShort;
                }
                payload.configuration = word(data, at);
                payload.id = word(data, at + 4);
                is_configured = true;
                at += 2 * sizeof(uint32_t);
                break;
            case kStream: {
                const size_t words = action >> 16 | (action >> 8 & 0xFF) << 16;
                return is_configured ? read_stream(data, at, sizeof(uint32_t) * words, payload) : kNoStream;
            }
            default:
                return kNoStream;
        }
    }
    return kCutShort;
}

// "COP2": 16 bytes of header; an entry's kind and size; its metadata with a size of their own, which are
// "VEUM", then at byte 40 CONFIG and ID; the stream.
const char* read_second_format(Bytes data, Payload& payload) {
    constexpr uint32_t kStreamEntry = 1;
    if (data.size() < 48) {
        return kCutShort;
    }
    const uint32_t size = word(data, 20);
    const uint32_t metadata = word(data, 24);
    if (word(data, 16) != kStreamEntry || !begins_with(data.subspan(28), "VEUM")) {
        return kNoStream;
    }
    if (size > data.size() - 24 || size < 4 || metadata > size - 4) {
        return kCutShort;
    }
    payload.configuration = word(data, 40);
    payload.id = word(data, 44);
    return read_stream(data, 28 + metadata, size - 4 - metadata, payload);
}

const char* read_commands(Bytes data, Payload& payload) {
    if (begins_with(data, "COP1")) {
        return read_first_format(data, payload);
    }
    return begins_with(data, "COP2") ? read_second_format(data, payload) : kNoStream;
}

const char* read_bindings(Bytes data, Bindings& bindings) {
    if (data.size() < sizeof(uint32_t)) {
        return kCutShort;
    }
    const Bytes rows = data.subspan(sizeof(uint32_t));
    if (rows.size() % Bindings::kRowBytes != 0 || rows.size() / Bindings::kRowBytes != word(data, 0)) {
        return "its tensors do not fit their block";
    }
    bindings = Bindings(rows);
    return nullptr;
}

// Every tensor lies in scratch memory.
const char* check_bindings(Bytes block, uint32_t scratch_bytes) {
    for (Bytes rows = block.subspan(sizeof(uint32_t)); !rows.empty();
         rows = rows.subspan(Bindings::kRowBytes)) {
        const uint64_t bytes = bytes_of(rows);
        if (bytes > scratch_bytes || word(rows, 28) > scratch_bytes - bytes ||
            word(rows, 32) != kScratchRegion) {
            return "a tensor lies outside the scratch memory";
        }
    }
    return nullptr;
}

struct Block {
    std::string_view name;
    Bytes data;
    bool found = false;
};

// Finds the data of `blocks`, and that nothing else is between the first block and the last.
template <size_t kCount>
const char* read_blocks(Bytes data, Find& find, const void* context, Block (&blocks)[kCount]) {
    bool is_first = true;
    while (data.size() >= kHeaderBytes) {
        const auto* const text = reinterpret_cast<const char*>(data.data());
        const std::string_view padded(text, kNameBytes);
        const std::string_view name = padded.substr(0, padded.find('\0'));
        const size_t size = word(data, kNameBytes);
        const bool is_external = data[kNameBytes + 4] != std::byte{0};
        data = data.subspan(kHeaderBytes);
        if (is_first != (name == "vela_bin_stream")) {
            return "it is not a stream of Vela's";
        }
        if (size > data.size()) {
            return kCutShort;
        }
        Bytes content = data.first(size);
        if (is_external) {
            content = find(context, {reinterpret_cast<const char*>(content.data()), size});
            if (content.empty()) {
                return "a part of it lies outside the program and is not there";
            }
        }
        if (name == "vela_end_stream") {
            return nullptr;
        }
        for (Block& block : blocks) {
            if (block.name == name) {
                block.data = content;
                block.found = true;
            }
        }
        is_first = false;
        const size_t padding = (kAlignment - size % kAlignment) % kAlignment;
        data = data.subspan(padding > data.size() - size ? data.size() : size + padding);
    }
    return kCutShort;
}

}  // namespace

Binding Bindings::operator[](size_t index) const {
    const Bytes row = rows_.subspan(index * kRowBytes, kRowBytes);
    return {word(row, 28), static_cast<uint32_t>(bytes_of(row)), word(row, 24)};
}

const char* read(Bytes data, Find& find, const void* context, Payload& payload) {
    Block blocks[] = {
        {"cmd_data", {}}, {"weight_data", {}}, {"scratch_size", {}}, {"inputs", {}}, {"outputs", {}}};
    if (const char* const wrong = read_blocks(data, find, context, blocks); wrong != nullptr) {
        return wrong;
    }
    const auto& [commands, weights, scratch, inputs, outputs] = blocks;
    for (const Block& block : blocks) {
        if (!block.found) {
            return "a block of it is missing";
        }
    }
    if (scratch.data.size() != sizeof(uint32_t)) {
        return "the size of its scratch memory cannot be read";
    }
    payload.scratch_bytes = word(scratch.data, 0);
    payload.weights = weights.data;
    if (!is_aligned(payload.weights.data())) {
        return "the weights are not aligned to 16 bytes";
    }
    const char* wrong = read_commands(commands.data, payload);
    if (wrong == nullptr) {
        wrong = read_bindings(inputs.data, payload.inputs);
    }
    if (wrong == nullptr) {
        wrong = read_bindings(outputs.data, payload.outputs);
    }
    if (wrong == nullptr) {
        wrong = check_bindings(inputs.data, payload.scratch_bytes);
    }
    return wrong != nullptr ? wrong : check_bindings(outputs.data, payload.scratch_bytes);
}

}  // namespace mcu::vela
