// A plan that is data: the steps of a model in a table, checked to its last byte and then run.
//
// python/mcu_build/codegen/table.py writes it. All numbers are little-endian, offsets count from its start:
//
//   header      Header below
//   steps       Step each
//   places      Place each: of inputs, of outputs, then of the steps' operands
//   parameters  those of each step, as its kernel's struct lies in memory
//   constants   weights, biases, tables, command streams; each at a multiple of 16 bytes
//
// A table is refused unless its checksum holds, it was made for this kernel set, and everything that it names
// lies inside of what it may touch. What is checked is what the runner itself follows; the values of a
// kernel's parameters are under the checksum alone, as the weights are.

#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "mcu/crc32.h"
#include "mcu/runtime/kernel.h"

namespace mcu::runtime {

static_assert(std::endian::native == std::endian::little);

enum class Status : int32_t {
    kOk = 0,
    kNoPlan,        // something else, or nothing
    kOtherFormat,   // made by another version of the tool
    kTruncated,     // its end is missing
    kCorrupted,     // its checksum is wrong
    kOtherKernels,  // made for firmware with other kernels
    kTooLarge,      // it needs more memory than there is
    kMisplaced,     // it, or the memory, does not begin at a multiple of 16 bytes
    kInvalid,       // something in it leads outside of it, or of the memory
    kOtherPorts,    // its inputs or outputs are not those of the firmware
};

// A few words on a status, for a log.
constexpr const char* words(Status status) {
    switch (status) {
        case Status::kOk:
            return "ok";
        case Status::kNoPlan:
            return "not a plan";
        case Status::kOtherFormat:
            return "a plan in another format";
        case Status::kTruncated:
            return "the end of the plan is missing";
        case Status::kCorrupted:
            return "the plan's checksum is wrong";
        case Status::kOtherKernels:
            return "the plan was made for firmware with other kernels";
        case Status::kTooLarge:
            return "the plan needs more memory than this firmware has";
        case Status::kMisplaced:
            return "the plan, or its memory, is not aligned to 16 bytes";
        case Status::kInvalid:
            return "the plan leads outside of itself or of its memory";
        case Status::kOtherPorts:
            return "inputs or outputs of the plan are not those of the firmware";
    }
    return "?";
}

inline constexpr uint32_t kMagic = 0x5455434D;   // "MCUT"
inline constexpr uint32_t kFormat = 0x31304D50;  // "PM01"
inline constexpr size_t kAlignment = 16;

struct Header {
    uint32_t magic;
    uint32_t format;
    uint32_t crc;   // of all bytes behind it
    uint32_t size;  // of the table
    uint64_t kernel_set;
    uint32_t memory[3];  // bytes: arena, fast scratch memory, state
    uint32_t initial;    // where initial values of the state are; 0: all are zero
    uint32_t steps;
    uint32_t places;
    uint32_t inputs;
    uint32_t outputs;
    uint32_t unused[2];  // 0
};
static_assert(sizeof(Header) == 64);

struct Step {
    uint32_t kernel;
    uint32_t params;  // offset
    uint32_t first;   // number of the first of its places
};

struct Memory {
    std::span<unsigned char> arena, fast, state;
};

class Plan {
public:
    constexpr Plan(const KernelSet& kernels, const Memory& memory) : kernels_(kernels), memory_(memory) {}

    // Checks a table and takes it into use; it stays where it is. On failure nothing is loaded.
    Status load(std::span<const unsigned char> table);
    // The same before it is known where arena and state will be; move() tells, and who calls it gives the
    // state its initial values. The plan can have no other memory.
    Status load_apart(std::span<const unsigned char> table);
    // Has a plan that is loaded work in another arena, with a state that lies elsewhere.
    Status move(std::span<unsigned char> arena, std::span<unsigned char> state);
    void unload() { table_ = {}; }
    bool is_loaded() const { return !table_.empty(); }

    // The rest is for a plan that is loaded. Numbers must be less than the counts.
    size_t input_count() const { return header().inputs; }
    size_t output_count() const { return header().outputs; }
    size_t step_count() const { return header().steps; }
    size_t state_bytes() const { return sizes_[kState]; }
    std::span<unsigned char> input(size_t index) const { return bytes_at(index); }
    std::span<unsigned char> output(size_t index) const { return bytes_at(input_count() + index); }
    // Gives the state its initial values.
    void reset() const;
    void step(size_t index) const;
    void run() const;

private:
    // All of load() but the state's initial values.
    Status check(std::span<const unsigned char> table);
    template <typename T>
    T read(size_t offset) const {
        T value;
        std::memcpy(&value, aligned(table_.data() + offset), sizeof value);
        return value;
    }
    Header header() const { return read<Header>(0); }
    size_t places() const { return sizeof(Header) + header_steps_ * sizeof(Step); }
    Place place(size_t index) const { return read<Place>(places() + index * sizeof(Place)); }
    std::span<unsigned char> bytes_at(size_t index) const {
        const Place found = place(index);
        return {bases_[region(found)] + found.offset, bytes(found)};
    }
    void call(const unsigned char* at, const unsigned char* first) const;
    Status check_header() const;
    bool checks(size_t index, const Step& step, size_t limit) const;
    bool holds(const Place& place, const Operand& operand) const;

    KernelSet kernels_;
    Memory memory_;
    std::span<const unsigned char> table_;
    size_t header_steps_ = 0;
    unsigned char* bases_[kRegions]{};
    size_t sizes_[kRegions]{};
};

// Whether `bytes` from `offset` on are among `size`.
constexpr bool fits(size_t offset, size_t bytes, size_t size) {
    return offset <= size && bytes <= size - offset;
}

inline bool is_aligned(const void* pointer) {
    return reinterpret_cast<uintptr_t>(pointer) % kAlignment == 0;
}

// All that can be determined without the counts of steps and places.
inline Status Plan::check_header() const {
    const Header found = header();
    if (found.magic != kMagic) {
        return Status::kNoPlan;
    }
    if (found.format != kFormat) {
        return Status::kOtherFormat;
    }
    constexpr size_t kChecked = offsetof(Header, size);
    if (found.size < sizeof(Header) || found.size > table_.size()) {
        return Status::kTruncated;
    }
    if (~crc32(~uint32_t{0}, table_.subspan(kChecked, found.size - kChecked)) != found.crc) {
        return Status::kCorrupted;
    }
    if (found.kernel_set != kernels_.id) {
        return Status::kOtherKernels;
    }
    for (size_t index = 0; index < 3; ++index) {
        if (found.memory[index] > sizes_[kArena + index]) {
            return Status::kTooLarge;
        }
        if (found.memory[index] > 0 && !is_aligned(bases_[kArena + index])) {
            return Status::kMisplaced;
        }
    }
    return found.unused[0] == 0 && found.unused[1] == 0 ? Status::kOk : Status::kInvalid;
}

// Whether an operand is where it may be.
inline bool Plan::holds(const Place& place, const Operand& operand) const {
    const uint32_t where = region(place);
    if (where == kNothing) {
        return place.offset == 0 && bytes(place) == 0;
    }
    return where < kRegions && fits(place.offset, bytes(place), sizes_[where]) &&
           place.offset % operand.alignment == 0 && !(operand.written && where == kTable);
}

// Whether a step is one that can be called; its parameters begin at `limit` or behind.
inline bool Plan::checks(size_t count, const Step& step, size_t limit) const {
    const bool is_known = step.kernel < kernels_.kernels.size();
    if (!is_known) {
        return false;
    }
    const Kernel& kernel = kernels_.kernels[step.kernel];
    const bool has_params = step.params >= limit && step.params % kernel.params_alignment == 0 &&
                            fits(step.params, kernel.params_bytes, table_.size());
    if (!has_params || !(fits(step.first, kernel.operands.size(), count))) {
        return false;
    }
    for (size_t index = 0; index < kernel.operands.size(); ++index) {
        if (!holds(place(step.first + index), kernel.operands[index])) {
            return false;
        }
    }
    return true;
}

inline Status Plan::load(std::span<const unsigned char> table) {
    const Status status = check(table);
    if (status == Status::kOk) {
        reset();
    }
    return status;
}

inline Status Plan::check(std::span<const unsigned char> table) {
    table_ = {};
    if (table.size() < sizeof(Header)) {
        return Status::kNoPlan;
    }
    if (!is_aligned(table.data())) {
        return Status::kMisplaced;
    }
    Plan made(kernels_, memory_);
    made.table_ = table;
    const std::span<unsigned char> regions[] = {{},
                                                memory_.arena,
                                                memory_.fast,
                                                memory_.state,
                                                {const_cast<unsigned char*>(table.data()), table.size()}};
    for (size_t index = 0; index < kRegions; ++index) {
        made.bases_[index] = regions[index].data();
        made.sizes_[index] = regions[index].size();
    }
    if (const Status status = made.check_header(); status != Status::kOk) {
        return status;
    }
    const Header found = made.header();
    made.table_ = table.first(found.size);
    made.sizes_[kTable] = found.size;
    for (size_t index = 0; index < 3; ++index) {
        made.sizes_[kArena + index] = found.memory[index];
    }
    // In 64 bits nothing of this can wrap.
    const uint64_t end =
        sizeof(Header) + uint64_t{found.steps} * sizeof(Step) + uint64_t{found.places} * sizeof(Place);
    const uint64_t ports = uint64_t{found.inputs} + found.outputs;
    const size_t state = found.memory[kState - kArena];
    const bool has_initial =
        found.initial == 0 || (found.initial >= end && fits(found.initial, state, found.size));
    const bool has_ports = ports <= found.places;
    if (end > found.size || !has_ports || !has_initial) {
        return Status::kInvalid;
    }
    made.header_steps_ = found.steps;
    for (size_t index = 0; index < ports; ++index) {
        const Place port = made.place(index);
        if (!made.holds(port, {1, true}) || (region(port) != kArena && region(port) != kState)) {
            return Status::kInvalid;
        }
    }
    for (size_t index = 0; index < found.steps; ++index) {
        const auto step = made.read<Step>(sizeof(Header) + index * sizeof(Step));
        if (!made.checks(found.places, step, static_cast<size_t>(end))) {
            return Status::kInvalid;
        }
    }
    *this = made;
    return Status::kOk;
}

inline Status Plan::load_apart(std::span<const unsigned char> table) {
    const std::span<unsigned char> later(static_cast<unsigned char*>(nullptr), SIZE_MAX);
    memory_ = {later, {}, later};
    return check(table);
}

inline Status Plan::move(std::span<unsigned char> arena, std::span<unsigned char> state) {
    if (arena.size() < sizes_[kArena] || state.size() < sizes_[kState]) {
        return Status::kTooLarge;
    }
    if (!is_aligned(arena.data()) || !is_aligned(state.data())) {
        return Status::kMisplaced;
    }
    bases_[kArena] = arena.data();
    bases_[kState] = state.data();
    return Status::kOk;
}

inline void Plan::reset() const {
    const uint32_t initial = header().initial;
    if (sizes_[kState] == 0) {
        return;
    }
    if (initial == 0) {
        std::memset(bases_[kState], 0, sizes_[kState]);
    } else {
        std::memcpy(bases_[kState], table_.data() + initial, sizes_[kState]);
    }
}

inline void Plan::step(size_t index) const {
    call(table_.data() + sizeof(Header) + index * sizeof(Step), table_.data() + places());
}

inline void Plan::run() const {
    const unsigned char* const first = table_.data() + places();
    for (const unsigned char* at = table_.data() + sizeof(Header); at != first; at += sizeof(Step)) {
        call(at, first);
    }
}

// Calls the kernel of the step at `at`; the operands' places begin at `first`.
inline void Plan::call(const unsigned char* at, const unsigned char* first) const {
    Step step;
    std::memcpy(&step, aligned(at), sizeof step);
    const Kernel& kernel = kernels_.kernels[step.kernel];
    kernel.call(table_.data() + step.params, first + step.first * sizeof(Place), bases_);
}

}  // namespace mcu::runtime
