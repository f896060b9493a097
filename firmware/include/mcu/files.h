// Files of the computer that runs or debugs the firmware. Test images only.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace mcu::platform {

enum class Mode { kRead, kWrite };

// An open file. Closes when it goes out of scope.
class File {
public:
    // `name` ends with a zero byte. Check ok() before use.
    File(const char* name, Mode mode);
    ~File();
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    [[nodiscard]] bool ok() const { return handle_ != kClosed; }
    // Size in bytes, or nothing where the file cannot tell.
    [[nodiscard]] std::optional<size_t> size() const;
    // Fills `bytes` to the end. False where the file has fewer.
    [[nodiscard]] bool read(std::span<std::byte> bytes) const;
    // Writes all of `bytes`. False where it could not.
    [[nodiscard]] bool write(std::span<const std::byte> bytes) const;

private:
    static constexpr intptr_t kClosed = -1;
    intptr_t handle_;  // a semihosting handle, or a FILE*
};

}  // namespace mcu::platform
