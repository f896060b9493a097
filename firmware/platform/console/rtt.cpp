// Real-Time Transfer: characters in RAM, which a debug probe reads while the core runs.
//
// The layout is SEGGER's, public in the J-Link manual (UM08001, "RTT"), so every RTT viewer finds it: a
// control block that begins with the characters "SEGGER RTT", with one ring buffer towards the host. The core
// moves only the write offset, the host only the read offset. What does not fit is dropped: nobody may be
// there to read.

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "mcu/platform.h"

namespace mcu::platform {
namespace {

struct UpBuffer {
    const char* name;
    char* bytes;
    uint32_t size;
    volatile uint32_t write;
    volatile uint32_t read;
    uint32_t flags;
};

struct ControlBlock {
    char id[16];
    int32_t up_buffers;
    int32_t down_buffers;
    UpBuffer up;
};

constexpr uint32_t kTrim = 1;
char buffer[1024];

}  // namespace
}  // namespace mcu::platform

extern "C" {
// An initialised variable, so that it is whole before the first instruction of main.
extern mcu::platform::ControlBlock _SEGGER_RTT;
[[gnu::used]] constinit mcu::platform::ControlBlock _SEGGER_RTT{
    "SEGGER RTT",
    1,
    0,
    {"Terminal", mcu::platform::buffer, sizeof(mcu::platform::buffer), 0, 0, mcu::platform::kTrim}};
}

namespace mcu::platform {

void write_console(std::string_view text) {
    UpBuffer& up = _SEGGER_RTT.up;
    // One byte stays free: equal offsets mean an empty buffer.
    const uint32_t used = (up.write + up.size - up.read) % up.size;
    text = {text.data(), std::min<size_t>(text.size(), up.size - 1 - used)};
    const size_t before_end = std::min<size_t>(text.size(), up.size - up.write);
    std::memcpy(up.bytes + up.write, text.data(), before_end);
    std::memcpy(up.bytes, text.data() + before_end, text.size() - before_end);
    // The host may look at any time: first the characters, then the offset.
    __asm volatile("dmb" ::: "memory");
    up.write = (up.write + text.size()) % up.size;
}

}  // namespace mcu::platform
