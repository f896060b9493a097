// Weights copied ahead by Arm's DMA-330 (PL330; Arm DDI 0424, "CoreLink DMA-330 DMA Controller"): channel 0,
// secure, polled. The board's setup turns on its clock and resets it.
//
// A channel runs a program that lies in memory: bursts of 64 bytes, then of 16 for what is left.

#include <array>
#include <cstdint>

#include "mcu/cache.h"
#include "mcu/dma.h"
#include "registers.h"

namespace mcu::platform {
namespace {

enum Register : uint32_t {
    kChannelStatus = 0x100,  // CSR0: bits 3 to 0
    kDebugStatus = 0xD00,    // DBGSTATUS: bit 0, busy
    kDebugCommand = 0xD04,   // DBGCMD: 0 executes the instruction
    kInstruction0 = 0xD08,   // DBGINST0: the thread, bytes 0 and 1
    kInstruction1 = 0xD0C,   // DBGINST1: bytes 2 to 5
};
constexpr uint32_t kStopped = 0, kFaultCompleting = 14;

enum Opcode : uint8_t {
    kEnd = 0x00,
    kLoad = 0x04,
    kStore = 0x08,
    kWriteBarrier = 0x13,
    kMove = 0xBC,
    kGo = 0xA0
};
enum Operand : uint8_t { kFrom = 0, kBurstControl = 1, kTo = 2 };

// A local memory, and where the DMA sees it.
struct View {
    uint32_t origin;
    uint32_t size;
    uint32_t address;
};
#if defined(MCU_DMA_VIEWS)
constexpr View kViews[] = {MCU_DMA_VIEWS};
#else
constexpr std::array<View, 0> kViews = {};
#endif

uint32_t seen_by_dma(const void* data) {
    const uint32_t address = dma::address_of(data);
    for (const View& view : kViews) {
        if (address - view.origin < view.size) {
            return address - view.origin + view.address;
        }
    }
    return address;
}

// Both sides count up, `beats` words of eight bytes a burst; modifiable accesses, which are not cached.
constexpr uint32_t burst_of(uint32_t beats) {
    constexpr uint32_t kUp = 1, kEightBytes = 3, kModifiable = 2;
    const uint32_t side = kUp | kEightBytes << 1 | (beats - 1) << 4 | kModifiable << 11;
    return side | side << 14;
}

constexpr uint32_t kLargeBurst = 64, kSmallBurst = 16;
// What two loops, one in the other, can count.
constexpr uint32_t kMostOfLoop = 256;

// On cache lines of its own.
alignas(cache::kLine) constinit std::array<uint8_t, 2 * cache::kLine> program = {};

class Writer {
public:
    void put(uint8_t byte) { program[length_++] = byte; }

    void move(Operand operand, uint32_t value) {
        put(kMove);
        put(operand);
        for (int shift = 0; shift < 32; shift += 8) {
            put(static_cast<uint8_t>(value >> shift));
        }
    }

    // Loads and stores a burst as often as a loop, or one in another, can count.
    void bursts(uint32_t count) {
        if (count >= kMostOfLoop) {
            const uint32_t outer = count / kMostOfLoop;
            loop(1, outer, [&] { loop(0, kMostOfLoop, [&] { burst(); }); });
            count %= kMostOfLoop;
        }
        if (count != 0) {
            loop(0, count, [&] { burst(); });
        }
    }

private:
    void burst() {
        put(kLoad);
        put(kStore);
    }

    template <typename Body>
    void loop(uint8_t counter, uint32_t count, Body body) {
        put(static_cast<uint8_t>(0x20 | counter << 1));
        put(static_cast<uint8_t>(count - 1));
        const uint32_t start = length_;
        body();
        const auto back = static_cast<uint8_t>(length_ - start);
        put(static_cast<uint8_t>(0x38 | counter << 2));
        put(back);
    }

    uint32_t length_ = 0;
};

void write_program(void* to, const void* from, uint32_t bytes) {
    Writer writer;
    writer.move(kFrom, seen_by_dma(from));
    writer.move(kTo, seen_by_dma(to));
    writer.move(kBurstControl, burst_of(kLargeBurst / 8));
    writer.bursts(bytes / kLargeBurst);
    writer.move(kBurstControl, burst_of(kSmallBurst / 8));
    writer.bursts(bytes % kLargeBurst / kSmallBurst);
    writer.put(kWriteBarrier);
    writer.put(kEnd);
}

void wait_for_debug() {
    while ((dma::read(kDebugStatus) & 1) != 0) {
    }
}

}  // namespace
}  // namespace mcu::platform

extern "C" void mcu_dma_start(void* to, const void* from, size_t bytes) {
    using namespace mcu::platform;
    // More than 4 MiB, which two loops cannot count, no board with this DMA has for activations.
    if (bytes > kMostOfLoop * kMostOfLoop * kLargeBurst) {
        __builtin_trap();
    }
    write_program(to, from, static_cast<uint32_t>(bytes));
    if (mcu::cache::is_on()) {
        mcu::cache::clean(program.data(), program.size());
    }
    mcu::cache::barrier();
    wait_for_debug();
    // The manager's thread executes DMAGO for channel 0.
    dma::write(kInstruction0, kGo << 16);
    dma::write(kInstruction1, seen_by_dma(program.data()));
    dma::write(kDebugCommand, 0);
    // The channel is not stopped any more from then on.
    wait_for_debug();
}

extern "C" void mcu_dma_wait(void) {
    using namespace mcu::platform;
    uint32_t status = 0;
    while ((status = dma::read(kChannelStatus) & 0xF) != kStopped) {
        // The DMA does not reach one of the memories: the board file has to say so.
        if (status >= kFaultCompleting) {
            __builtin_trap();
        }
    }
}
