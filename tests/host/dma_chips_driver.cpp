// A driver of firmware/platform/dma against a model of its DMA: compiled once for each of them.
//
//   dma_chips_driver           copies of many sizes between memories: "exact", or what was wrong
//   dma_chips_driver flips     one bit of one thing that the driver wrote wrong: those without effect
//   dma_chips_driver error     a copy from memory that the DMA does not reach
//
// Memory at 0x20000000 is a TCM, at 0x24000000 it is not: the MDMA has a bus of its own for it, the DMA-330
// sees it elsewhere. A model copies when its status has been read a few times, not before, and refuses what
// its manual forbids.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "mcu/dma.h"
#include "registers.h"

// Where the program's variables lie.
extern "C" char __bss_start, _end;

namespace {

constexpr size_t kMost = 1 << 20;
[[gnu::section(".tcm")]] alignas(16) unsigned char tcm[2][kMost];
[[gnu::section(".ram")]] alignas(16) unsigned char ram[2][kMost];

// Registers that the driver wrote, in order, and the bytes of its program, if any, behind these. `flipped` is
// one of them, whose bit `flipped_bit` is wrong.
uint32_t writes = 0, flipped = UINT32_MAX, flipped_bit = 0;
// Something was written that the manual forbids; where faults are wanted, the DMA says so.
bool is_refused = false, says_faults = false;

bool is_inside(uint32_t address, uint32_t bytes, const void* area) {
    return address - mcu::platform::dma::address_of(area) <= kMost * 2 - bytes;
}

unsigned char* at(uint32_t address) {
    return reinterpret_cast<unsigned char*>(static_cast<uintptr_t>(address));
}

#if defined(MODEL_OF_MDMA)

// Offsets and bits: STM32H743.svd, peripheral MDMA, channel 0.
struct Channel {
    uint32_t status, control, transfer, blocks, from, to, update, link, bus, mask;
    uint32_t reads_to_go;
} channel = {};

// What RM0433 says of these fields; false: forbidden, or more than this model knows.
bool copies() {
    const uint32_t word = 2, beats = 2, tlen = (channel.transfer >> 18 & 0x7F) + 1;
    const uint32_t fields[] = {channel.transfer & 3,       channel.transfer >> 2 & 3,
                               channel.transfer >> 4 & 3,  channel.transfer >> 6 & 3,
                               channel.transfer >> 8 & 3,  channel.transfer >> 10 & 3,
                               channel.transfer >> 12 & 7, channel.transfer >> 15 & 7};
    const uint32_t wanted[] = {2, 2, word, word, word, word, beats, beats};
    const bool all_blocks = (channel.transfer >> 28 & 3) == 2,
               by_software = (channel.transfer >> 30 & 1) == 1;
    const uint32_t bytes = channel.blocks & 0x1FFFF, count = (channel.blocks >> 20) + 1;
    const bool apart = (channel.blocks >> 18 & 3) != 0 || channel.update != 0 || channel.link != 0;
    if (std::memcmp(fields, wanted, sizeof fields) != 0 || !all_blocks || !by_software || apart) {
        return false;
    }
    if (bytes == 0 || bytes > 65536 || bytes % 16 != 0 || tlen % 16 != 0 || channel.mask != 0) {
        return false;
    }
    const uint64_t all = uint64_t{bytes} * count;
    for (const auto& [address, bus] : {std::pair{channel.from, 16}, std::pair{channel.to, 17}}) {
        const bool on_tcm = (channel.bus >> bus & 1) == 1;
        if (all > kMost || !is_inside(address, static_cast<uint32_t>(all), on_tcm ? tcm : ram)) {
            return false;
        }
    }
    std::memcpy(at(channel.to), at(channel.from), all);
    return true;
}

uint32_t read_register(uint32_t offset) {
    if (offset != 0x40) {
        is_refused = true;
        return 0;
    }
    if (channel.reads_to_go != 0 && --channel.reads_to_go == 0) {
        channel.status = 0x1E;
        channel.control &= ~1u;
        is_refused = is_refused || !copies();
    }
    // What was never begun is not waited for.
    is_refused = is_refused || (channel.reads_to_go == 0 && (channel.status & 3) == 0);
    return !is_refused ? channel.status : says_faults ? 1 : 2;
}

void write_register(uint32_t offset, uint32_t value) {
    uint32_t* const fields[] = {&channel.transfer, &channel.blocks, &channel.from,
                                &channel.to,       &channel.update, &channel.link,
                                &channel.bus,      nullptr,         &channel.mask};
    if (offset == 0x44) {
        channel.status &= ~value;
    } else if (offset == 0x4C) {
        const bool was_on = (channel.control & 1) == 1;
        // Endianness is exchanged, which no copy wants.
        is_refused = is_refused || (value >> 12 & 7) != 0;
        channel.control = value & 1;
        if ((value >> 16 & 1) == 1 && was_on && (value & 1) == 1) {
            channel.reads_to_go = 3;
        }
    } else if (offset >= 0x50 && offset <= 0x70 && fields[(offset - 0x50) / 4] != nullptr) {
        // Protected while the channel is on.
        is_refused = is_refused || (channel.control & 1) == 1;
        *fields[(offset - 0x50) / 4] = value;
    } else {
        is_refused = true;
    }
}

#else

// Registers and instructions: Arm DDI 0424; the FIFO, 32 lines of 4 bytes: Alif's CMSIS pack.
struct Manager {
    uint32_t instruction0, instruction1, busy;
} manager = {};
struct Thread {
    uint32_t start, pc, from, to, control, loops[2], state, reads_to_go;
    std::vector<unsigned char> fifo;
} thread = {};
constexpr uint32_t kRegisters = 3;

// Whether a program may lie there.
bool holds_program(uint32_t address) {
    const auto start = mcu::platform::dma::address_of(&__bss_start),
               end = mcu::platform::dma::address_of(&_end);
    return address >= start && address < end && !is_inside(address, 1, ram);
}

// Bytes that the DMA sees at an address; null: none.
unsigned char* seen(uint32_t address, uint32_t bytes) {
    constexpr uint32_t kView = 0x50800000;
    if (address - kView <= 2 * kMost - bytes) {
        return at(address - kView + mcu::platform::dma::address_of(tcm));
    }
    return is_inside(address, bytes, ram) ? at(address) : nullptr;
}

uint32_t fetch(uint32_t bytes) {
    uint32_t value = 0;
    for (uint32_t index = 0; index < bytes; ++index, ++thread.pc) {
        const bool is_flipped = thread.pc - thread.start + kRegisters == flipped;
        writes = std::max(writes, thread.pc - thread.start + kRegisters + 1);
        value |= (*at(thread.pc) ^ (is_flipped ? 1u << flipped_bit % 8 : 0)) << 8 * index;
    }
    return value;
}

// One side of the channel's control: words of a burst, and how it is done.
bool move_burst(uint32_t side, uint32_t& address, bool is_load) {
    const uint32_t size = 1u << (side >> 1 & 7), bytes = size * ((side >> 4 & 15) + 1);
    const bool is_secure = (side >> 9 & 1) == 0, is_cached = (side >> 13 & 1) != 0;
    unsigned char* const data = seen(address, bytes);
    if (data == nullptr || size > 8 || address % size != 0 || !is_secure || is_cached) {
        return false;
    }
    if (is_load) {
        thread.fifo.insert(thread.fifo.end(), data, data + bytes);
    } else {
        if (thread.fifo.size() < bytes) {
            return false;
        }
        std::memcpy(data, thread.fifo.data(), bytes);
        thread.fifo.erase(thread.fifo.begin(), thread.fifo.begin() + bytes);
    }
    address += (side & 1) == 1 ? bytes : 0;
    return thread.fifo.size() <= 128;
}

bool loops(uint32_t opcode) {
    uint32_t& counter = thread.loops[opcode >> 2 & 1];
    const uint32_t back = fetch(1);
    if (counter != 0) {
        --counter;
        thread.pc -= back + 2;
    }
    return true;
}

// One instruction. False: a fault, or one that this model does not know.
bool step(bool& is_over) {
    const uint32_t opcode = fetch(1);
    switch (opcode) {
        case 0x00:
            is_over = true;
            return thread.fifo.empty();
        case 0x04:
            return move_burst(thread.control, thread.from, true);
        case 0x08:
            return move_burst(thread.control >> 14, thread.to, false);
        case 0x13:
            return true;
        case 0x20:
        case 0x22:
            thread.loops[opcode >> 1 & 1] = fetch(1);
            return true;
        case 0x38:
        case 0x3C:
            return loops(opcode);
        case 0xBC: {
            const uint32_t operand = fetch(1), value = fetch(4);
            (operand == 0 ? thread.from : operand == 1 ? thread.control : thread.to) = value;
            return operand <= 2 && (operand != 1 || value >> 28 == 0);
        }
        default:
            return false;
    }
}

void run_thread() {
    // A program that was changed may go astray.
    bool is_over = false;
    thread.state = 0;
    for (uint32_t steps = 0; !is_over; ++steps) {
        if (steps > 1 << 20 || !holds_program(thread.pc) || !step(is_over)) {
            is_refused = true;
            return;
        }
    }
}

uint32_t read_register(uint32_t offset) {
    if (offset == 0xD00) {
        return manager.busy == 0 ? 0 : manager.busy--;
    }
    is_refused = is_refused || offset != 0x100;
    if (thread.state == 1 && --thread.reads_to_go == 0) {
        run_thread();
    }
    return !is_refused ? thread.state : says_faults ? 15 : 0;
}

void write_register(uint32_t offset, uint32_t value) {
    if (manager.busy != 0) {
        is_refused = true;
    } else if (offset == 0xD08) {
        manager.instruction0 = value;
    } else if (offset == 0xD0C) {
        manager.instruction1 = value;
    } else if (offset == 0xD04 && (value & 3) == 0) {
        // DMAGO by the manager, secure, channel 0.
        is_refused = is_refused || (manager.instruction0 & 0xFFFF0001) != 0x00A00000;
        thread = {manager.instruction1, manager.instruction1, 0, 0, 0, {}, 1, 3, {}};
        manager.busy = 2;
    } else {
        is_refused = true;
    }
}

#endif

}  // namespace

namespace mcu::platform::dma {

uint32_t read(uint32_t offset) {
    return read_register(offset);
}

void write(uint32_t offset, uint32_t value) {
    write_register(offset, writes++ == flipped ? value ^ 1u << flipped_bit : value);
}

}  // namespace mcu::platform::dma

namespace {

// Whether all bytes have arrived, none in front, none behind, and none before it was waited for.
bool is_exact(unsigned char (&to)[kMost], const unsigned char (&from)[kMost], size_t bytes) {
    constexpr size_t kAround = 32;
    std::memset(to, 0xA5, bytes + 2 * kAround);
    writes = 0;
    is_refused = false;
    mcu_dma_start(to + kAround, from + kAround, bytes);
    bool is_early = false;
    for (size_t index = 0; index < bytes + 2 * kAround; ++index) {
        is_early = is_early || to[index] != 0xA5;
    }
    mcu_dma_wait();
    mcu_dma_wait();
    bool is_right = !is_refused && !is_early && std::memcmp(to + kAround, from + kAround, bytes) == 0;
    for (size_t index = 0; index < kAround; ++index) {
        is_right = is_right && to[index] == 0xA5 && to[kAround + bytes + index] == 0xA5;
    }
    return is_right;
}

void fill() {
    uint32_t state = 1;
    for (auto* area : {&tcm, &ram}) {
        for (auto& byte : (*area)[0]) {
            state = state * 1664525 + 1013904223;
            byte = static_cast<unsigned char>(state >> 24);
        }
    }
}

int every_copy() {
    for (const size_t bytes : {16, 48, 64, 80, 128, 16'384, 65'536, 65'552, 200'016, 524'272, 1'000'000}) {
        for (const auto& [to, from] :
             {std::pair{&ram[1], &ram[0]}, {&ram[1], &tcm[0]}, {&tcm[1], &ram[0]}, {&tcm[1], &tcm[0]}}) {
            if (!is_exact(*to, *from, bytes)) {
                std::printf("%zu bytes\n", bytes);
                return 1;
            }
        }
    }
    std::printf("exact\n");
    return 0;
}

}  // namespace

int main(int count, char** words) {
    fill();
    if (count > 1 && std::string_view(words[1]) == "error") {
        says_faults = true;
        mcu_dma_start(ram[1], reinterpret_cast<const void*>(uintptr_t{0x60000000}), 64);
        mcu_dma_wait();
        return 0;
    }
    if (count == 1) {
        return every_copy();
    }
    if (!is_exact(ram[1], tcm[0], 40'048)) {
        return 1;
    }
    const uint32_t all = writes;
    for (flipped = 0; flipped < all; ++flipped) {
        for (flipped_bit = 0; flipped_bit < 32; ++flipped_bit) {
            if (is_exact(ram[1], tcm[0], 40'048)) {
                std::printf("%u:%u ", flipped, flipped_bit);
            }
        }
    }
    return 0;
}
