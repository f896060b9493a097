// Weights copied ahead by the MDMA of an STM32H7 (RM0433, "Master direct memory access controller"): channel
// 0, polled. The board's setup turns on its clock.
//
// A copy is up to 4,096 equal blocks of up to 64 KiB, started by software as one request. What does not
// divide into equal blocks, less than 16 bytes for each of them, is a second copy, which waits for the first.

#include <cstdint>

#include "mcu/dma.h"
#include "registers.h"

namespace mcu::platform {
namespace {

enum Register : uint32_t {
    kStatus = 0x40,         // MDMA_C0ISR
    kClearFlags = 0x44,     // MDMA_C0IFCR
    kControl = 0x4C,        // MDMA_C0CR
    kTransfer = 0x50,       // MDMA_C0TCR
    kBlocks = 0x54,         // MDMA_C0BNDTR
    kFrom = 0x58,           // MDMA_C0SAR
    kTo = 0x5C,             // MDMA_C0DAR
    kBlockUpdate = 0x60,    // MDMA_C0BRUR
    kLink = 0x64,           // MDMA_C0LAR
    kTriggerAndBus = 0x68,  // MDMA_C0TBR
    kMaskAddress = 0x70,    // MDMA_C0MAR
};

constexpr uint32_t kTransferError = 1u << 0;
constexpr uint32_t kChannelComplete = 1u << 1;
constexpr uint32_t kAllFlags = 0x1F;
constexpr uint32_t kEnable = 1u << 0;
constexpr uint32_t kSoftwareRequest = 1u << 16;
constexpr uint32_t kFromTcm = 1u << 16;
constexpr uint32_t kToTcm = 1u << 17;

// Both sides count up word by word, in bursts of four words; 128 bytes at a time give way to other channels.
// One software request is for all blocks. Words, not double words: the bus of the TCMs has no more.
constexpr uint32_t kUp = 2, kWord = 2, kFourBeats = 2, kAllBlocks = 2;
constexpr uint32_t kWords = kUp << 0 | kUp << 2 | kWord << 4 | kWord << 6 | kWord << 8 | kWord << 10 |
                            kFourBeats << 12 | kFourBeats << 15 | 127u << 18 | kAllBlocks << 28 | 1u << 30;

constexpr size_t kBurst = 16, kMostOfBlock = 1 << 16;

struct Transfer {
    uint32_t to;
    uint32_t from;
    uint32_t bytes;
};
// What is left for when the copy that runs is done.
constinit Transfer behind = {};
constinit bool is_running = false;

// ITCM and DTCM are on a bus of their own.
bool is_tcm(uint32_t address) {
    const uint32_t region = address >> 24;
    return region == 0x00 || region == 0x20;
}

void begin(const Transfer& transfer, uint32_t blocks) {
    using dma::write;
    write(kControl, 0);
    write(kClearFlags, kAllFlags);
    write(kTransfer, kWords);
    write(kBlocks, transfer.bytes / blocks | (blocks - 1) << 20);
    write(kFrom, transfer.from);
    write(kTo, transfer.to);
    write(kBlockUpdate, 0);
    write(kLink, 0);
    write(kTriggerAndBus, (is_tcm(transfer.from) ? kFromTcm : 0) | (is_tcm(transfer.to) ? kToTcm : 0));
    write(kMaskAddress, 0);
    write(kControl, kEnable);
    write(kControl, kEnable | kSoftwareRequest);
}

void finish() {
    uint32_t status = 0;
    while ((status & (kTransferError | kChannelComplete)) == 0) {
        status = dma::read(kStatus);
    }
    // The MDMA does not reach one of the memories: the board file has to say so.
    if ((status & kTransferError) != 0) {
        __builtin_trap();
    }
}

}  // namespace
}  // namespace mcu::platform

extern "C" void mcu_dma_start(void* to, const void* from, size_t bytes) {
    using namespace mcu::platform;
    if (bytes == 0) {
        return;
    }
    const size_t blocks = (bytes + kMostOfBlock - 1) / kMostOfBlock;
    const auto whole = static_cast<uint32_t>(bytes / blocks / kBurst * kBurst * blocks);
    const Transfer first = {dma::address_of(to), dma::address_of(from), whole};
    behind = {first.to + whole, first.from + whole, static_cast<uint32_t>(bytes) - whole};
    is_running = true;
    begin(first, static_cast<uint32_t>(blocks));
}

extern "C" void mcu_dma_wait(void) {
    using namespace mcu::platform;
    if (!is_running) {
        return;
    }
    is_running = false;
    finish();
    if (behind.bytes != 0) {
        begin(behind, 1);
        finish();
    }
}
