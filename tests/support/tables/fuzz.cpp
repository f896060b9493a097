// Damages a table in many ways and loads each: nothing may be read or written where it may not.
//
// fuzz <count>: table.bin is the table. Every second damaged one gets its checksum again, so that what lies
// behind the checksum is looked at. One that is accepted is run with kernels that do nothing, and the ends of
// all that it names are touched. Prints how many came to each status; ends with 1 where damage whose
// checksum was left alone is accepted.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "mcu/runtime/plan.h"

extern const mcu::runtime::KernelSet kernels_of_tests;

namespace {

using namespace mcu::runtime;
using Bytes = std::vector<unsigned char>;

// Aligned to 16 as the heap does, and exactly as long as it says.
struct Heap {
    explicit Heap(size_t size) : data(static_cast<unsigned char*>(std::malloc(size))), size(size) {}
    ~Heap() { std::free(data); }
    Heap(const Heap&) = delete;
    Heap& operator=(const Heap&) = delete;
    std::span<unsigned char> span() const { return {data, size}; }
    unsigned char* data;
    size_t size;
};

void seal(Bytes& table) {
    if (table.size() >= sizeof(Header)) {
        constexpr size_t kChecked = offsetof(Header, size);
        uint32_t size;
        std::memcpy(&size, table.data() + kChecked, sizeof size);
        const size_t end = size >= sizeof(Header) && size <= table.size() ? size : table.size();
        const uint32_t crc =
            ~mcu::crc32(~uint32_t{0}, std::span(std::as_const(table)).subspan(kChecked, end - kChecked));
        std::memcpy(table.data() + offsetof(Header, crc), &crc, sizeof crc);
    }
}

Bytes damaged(const Bytes& whole, size_t interesting, std::mt19937& dice) {
    Bytes table = whole;
    const auto below = [&](size_t count) { return static_cast<size_t>(dice() % count); };
    for (size_t left = 1 + below(3); left > 0; --left) {
        const size_t at = below(below(4) == 0 ? table.size() : std::min(interesting, table.size()));
        const uint32_t words[] = {0,
                                  1,
                                  15,
                                  0x7FFFFFFF,
                                  0xFFFFFFFF,
                                  0x80000000,
                                  0xFFFFFFF0,
                                  static_cast<uint32_t>(table.size()),
                                  static_cast<uint32_t>(dice())};
        const uint32_t word = words[below(std::size(words))];
        switch (below(5)) {
            case 0:
                table[at] ^= static_cast<unsigned char>(1 << below(8));
                break;
            case 1:
                table[at] = static_cast<unsigned char>(dice());
                break;
            case 2:
            case 3:
                std::memcpy(table.data() + at / 4 * 4, &word, std::min<size_t>(4, table.size() - at / 4 * 4));
                break;
            default:
                if (below(4) == 0) {
                    table.resize(1 + below(table.size()));
                } else {
                    const size_t from = below(table.size());
                    std::memmove(table.data() + at, table.data() + from,
                                 std::min<size_t>(8, table.size() - std::max(at, from)));
                }
        }
    }
    return table;
}

volatile unsigned char sink;

void touch(std::span<const unsigned char> bytes) {
    if (!bytes.empty()) {
        sink = bytes.front();
        sink = bytes.back();
    }
}

// Everything that a table names, without the runner.
void touch_all(std::span<const unsigned char> table, const Memory& memory) {
    Header header;
    std::memcpy(&header, table.data(), sizeof header);
    for (size_t index = 0; index < header.steps; ++index) {
        Step step;
        std::memcpy(&step, table.data() + sizeof header + index * sizeof step, sizeof step);
        const Kernel& kernel = kernels_of_tests.kernels[step.kernel];
        touch({table.data() + step.params, kernel.params_bytes});
        for (size_t number = 0; number < kernel.operands.size(); ++number) {
            Place place;
            std::memcpy(&place,
                        table.data() + sizeof header + header.steps * sizeof step +
                            (step.first + number) * sizeof place,
                        sizeof place);
            const unsigned char* const bases[] = {nullptr, memory.arena.data(), memory.fast.data(),
                                                  memory.state.data(), table.data()};
            touch({bases[region(place)] + place.offset, bytes(place)});
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    const long count = argc > 1 ? std::atol(argv[1]) : 0;
    std::FILE* const file = std::fopen("table.bin", "rb");
    Bytes whole;
    for (int byte = 0; file != nullptr && (byte = std::fgetc(file)) != EOF;) {
        whole.push_back(static_cast<unsigned char>(byte));
    }
    Header header;
    std::memcpy(&header, whole.data(), sizeof header);
    std::vector<Kernel> idle(kernels_of_tests.kernels.begin(), kernels_of_tests.kernels.end());
    for (Kernel& kernel : idle) {
        kernel.call = [](const void*, const unsigned char*, unsigned char* const*) {};
    }
    const KernelSet kernels{idle, kernels_of_tests.id};
    const Heap arena(header.memory[0]), fast(header.memory[1]), state(header.memory[2]);
    const Memory memory{arena.span(), fast.span(), state.span()};
    const size_t interesting =
        sizeof header + header.steps * sizeof(Step) + header.places * sizeof(Place) + 64;
    std::mt19937 dice(1);
    long found[9] = {};
    for (long round = 0; round < count; ++round) {
        Bytes table = damaged(whole, interesting, dice);
        const bool sealed = round % 2 != 0;
        if (sealed) {
            seal(table);
        }
        const Heap copy(table.size());
        std::memcpy(copy.data, table.data(), table.size());
        Plan plan(kernels, memory);
        const Status status = plan.load(copy.span());
        ++found[static_cast<int>(status)];
        if (status != Status::kOk) {
            continue;
        }
        // Equal as far as the table goes: what follows it is nobody's.
        if (!sealed && std::memcmp(copy.data, whole.data(), std::min(table.size(), whole.size())) != 0) {
            std::printf("round %ld: damage without a checksum was accepted\n", round);
            return 1;
        }
        plan.reset();
        plan.run();
        for (size_t index = 0; index < plan.input_count(); ++index) {
            touch(plan.input(index));
        }
        for (size_t index = 0; index < plan.output_count(); ++index) {
            touch(plan.output(index));
        }
        touch_all(copy.span(), memory);
    }
    for (int status = 0; status < 9; ++status) {
        std::printf("%d %ld\n", status, found[status]);
    }
    return 0;
}
