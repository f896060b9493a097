// The platform of a native program: ordinary files, and the system's own stack.

#include <cstdio>
#include <cstdlib>

#include "mcu/files.h"
#include "mcu/platform.h"

namespace mcu::platform {

void write_console(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
}

void exit(Status status) {
    std::exit(static_cast<int>(status));
}

uint32_t cycles() {
    return 0;
}

StackUse stack_use() {
    return {0, 0};
}

bool stack_overflowed() {
    return false;
}

namespace {

std::FILE* stream(intptr_t handle) {
    return reinterpret_cast<std::FILE*>(handle);
}

}  // namespace

File::File(const char* name, Mode mode) {
    std::FILE* const opened = std::fopen(name, mode == Mode::kRead ? "rb" : "wb");
    handle_ = opened == nullptr ? kClosed : reinterpret_cast<intptr_t>(opened);
}

File::~File() {
    if (ok()) {
        std::fclose(stream(handle_));
    }
}

std::optional<size_t> File::size() const {
    const long position = std::ftell(stream(handle_));
    if (position < 0 || std::fseek(stream(handle_), 0, SEEK_END) != 0) {
        return std::nullopt;
    }
    const long length = std::ftell(stream(handle_));
    if (length < 0 || std::fseek(stream(handle_), position, SEEK_SET) != 0) {
        return std::nullopt;
    }
    return static_cast<size_t>(length);
}

bool File::read(std::span<std::byte> bytes) const {
    return std::fread(bytes.data(), 1, bytes.size(), stream(handle_)) == bytes.size();
}

bool File::write(std::span<const std::byte> bytes) const {
    return std::fwrite(bytes.data(), 1, bytes.size(), stream(handle_)) == bytes.size() &&
           std::fflush(stream(handle_)) == 0;
}

}  // namespace mcu::platform
