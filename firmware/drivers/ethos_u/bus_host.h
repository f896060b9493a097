// How the driver reaches the NPU from a native program: a model of it is at the other end of a socket.
//
// The environment's MCU_NPU_LINK is the descriptor of the socket; without it, no NPU answers.
// python/mcu_build/simulate/native_npu.py is the other end. What goes to it are frames of three numbers in
// this computer's byte order: what is asked for, 32 bits, 64 bits.
//   kRead       offset of a register, 0; answered with its 32 bits
//   kWrite      offset of a register, its value
//   kLend       areas of memory, 0; for each a frame (writable or not, bytes, address) and its bytes
//   kTakeBack   0, 0; answered with the bytes of the writable areas
// A run ends within the write that starts it, so that the NPU sees no memory but what was lent to it before.

#pragma once

#include <unistd.h>

#include <cstdlib>

#include "mcu/drivers/ethos_u.h"
#include "registers.h"
#include "stop.h"

namespace mcu::ethos_u::bus {

enum Request : uint32_t { kRead, kWrite, kLend, kTakeBack };

struct Frame {
    uint32_t what;
    uint32_t number;
    uint64_t value;
};

inline int link() {
    static const char* const descriptor = std::getenv("MCU_NPU_LINK");
    return descriptor == nullptr ? -1 : std::atoi(descriptor);
}

inline void send(const void* data, size_t bytes) {
    const auto* from = static_cast<const char*>(data);
    while (bytes > 0) {
        const ssize_t sent = ::write(link(), from, bytes);
        if (sent <= 0) {
            return;
        }
        from += sent;
        bytes -= static_cast<size_t>(sent);
    }
}

inline void send(uint32_t what, uint32_t number, uint64_t value) {
    const Frame frame = {what, number, value};
    send(&frame, sizeof(frame));
}

inline void receive(void* data, size_t bytes) {
    auto* to = static_cast<char*>(data);
    while (bytes > 0) {
        const ssize_t received = ::read(link(), to, bytes);
        if (received <= 0) {
            return;
        }
        to += received;
        bytes -= static_cast<size_t>(received);
    }
}

// Stands for a register where a core has one in its memory.
class Register {
public:
    explicit Register(uintptr_t offset) : offset_(static_cast<uint32_t>(offset)) {}

    operator uint32_t() const {
        uint32_t value = 0;
        send(kRead, offset_, 0);
        receive(&value, sizeof(value));
        return value;
    }
    void operator=(uint32_t value) const { send(kWrite, offset_, value); }

private:
    uint32_t offset_;
};

inline Register npu(uintptr_t offset) {
    return Register(offset);
}

inline uint64_t address(const void* pointer) {
    return reinterpret_cast<uintptr_t>(pointer);
}

inline void lend(ConstBytes bytes, bool writable) {
    send(writable, static_cast<uint32_t>(bytes.size), reinterpret_cast<uintptr_t>(bytes.data));
    send(bytes.data, bytes.size);
}

inline void lend(const Job& job) {
    send(kLend, 4, 0);
    lend(job.commands, false);
    lend(job.weights, false);
    lend({job.scratch.data, job.scratch.size}, true);
    lend({job.fast_scratch.data, job.fast_scratch.size}, true);
}

inline void take_back(const Job& job) {
    send(kTakeBack, 0, 0);
    receive(job.scratch.data, job.scratch.size);
    receive(job.fast_scratch.data, job.fast_scratch.size);
}

inline void barrier() {}
inline void enable_interrupt() {}
inline void disable_interrupt() {}
inline void forget_interrupt() {}

// The interrupt of a native program: nobody but this looks at its line.
inline void sleep_until(const volatile bool& finished) {
    while (!finished) {
        if (npu(kStatus) & kIrqRaised) {
            handle_interrupt();
        }
    }
}

}  // namespace mcu::ethos_u::bus
