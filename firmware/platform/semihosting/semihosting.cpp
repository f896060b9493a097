// Console, exit and files through semihosting. Test images only: without a debugger the calls are faults.

#include "semihosting.h"

#include <cstring>

#include "mcu/files.h"
#include "mcu/platform.h"
#include "write.h"

namespace mcu::platform {

void write_console(std::string_view text) {
    semihosting::write(text);
}

void exit(Status status) {
    constexpr uint32_t kApplicationExit = 0x20026;
    const uint32_t block[] = {kApplicationExit, static_cast<uint32_t>(status)};
    semihosting::call(semihosting::kExitExtended, block);
    for (;;) {
    }
}

File::File(const char* name, Mode mode) {
    // Modes of fopen by number: 1 is "rb", 5 is "wb".
    const uint32_t block[] = {semihosting::word(name), mode == Mode::kRead ? 1u : 5u,
                              static_cast<uint32_t>(std::strlen(name))};
    handle_ = semihosting::call(semihosting::kOpen, block);
}

File::~File() {
    if (ok()) {
        const uint32_t block[] = {static_cast<uint32_t>(handle_)};
        semihosting::call(semihosting::kClose, block);
    }
}

std::optional<size_t> File::size() const {
    const uint32_t block[] = {static_cast<uint32_t>(handle_)};
    const int32_t length = semihosting::call(semihosting::kFileLength, block);
    return length < 0 ? std::nullopt : std::optional<size_t>(static_cast<size_t>(length));
}

bool File::read(std::span<std::byte> bytes) const {
    const uint32_t block[] = {static_cast<uint32_t>(handle_), semihosting::word(bytes.data()), bytes.size()};
    return semihosting::call(semihosting::kRead, block) == 0;  // the number of bytes that are missing
}

bool File::write(std::span<const std::byte> bytes) const {
    const uint32_t block[] = {static_cast<uint32_t>(handle_), semihosting::word(bytes.data()), bytes.size()};
    return semihosting::call(semihosting::kWrite, block) == 0;  // the number of bytes that were not written
}

}  // namespace mcu::platform
