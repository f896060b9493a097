// Runs plans that are data, one after the other: what kernel tests need no compiler for.
//
// Linked with `kernels_of_tests`, the kernels by number. inputs.bin holds, for each plan, its table and the
// bytes of its inputs; outputs.bin gets the bytes of its outputs. A plan that is refused ends the run with 20
// and its status. Memory that nobody has written is 0xA5; under AddressSanitizer what lies between the
// constants of a table is out of bounds.

#include <cstdlib>
#include <cstring>
#include <memory>

#include "mcu/files.h"
#include "mcu/runtime/plan.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

extern const mcu::runtime::KernelSet kernels_of_tests;

namespace {

using namespace mcu::runtime;
using mcu::platform::File;
using mcu::platform::Mode;

// Memory of its own for each plan, so that sanitizers see where it ends.
class Block {
public:
    explicit Block(size_t size) : bytes_(static_cast<unsigned char*>(std::aligned_alloc(16, rounded(size)))) {
        std::memset(bytes_, 0xA5, rounded(size));
        span_ = {bytes_, size};
#ifdef __SANITIZE_ADDRESS__
        ASAN_POISON_MEMORY_REGION(bytes_ + size, rounded(size) - size);
#endif
    }
    ~Block() {
#ifdef __SANITIZE_ADDRESS__
        ASAN_UNPOISON_MEMORY_REGION(bytes_, rounded(span_.size()));
#endif
        std::free(bytes_);
    }
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;
    std::span<unsigned char> span() const { return span_; }

private:
    static size_t rounded(size_t size) { return (size + 31) / 16 * 16; }
    unsigned char* bytes_;
    std::span<unsigned char> span_;
};

// Leaves of a table what its steps and operands name.
void poison([[maybe_unused]] std::span<unsigned char> table) {
#ifdef __SANITIZE_ADDRESS__
    Header header;
    std::memcpy(&header, table.data(), sizeof header);
    const size_t places = sizeof header + header.steps * sizeof(Step);
    const size_t end = places + header.places * sizeof(Place);
    ASAN_POISON_MEMORY_REGION(table.data() + end, table.size() - end);
    for (size_t index = 0; index < header.steps; ++index) {
        Step step;
        std::memcpy(&step, table.data() + sizeof header + index * sizeof step, sizeof step);
        const size_t bytes = kernels_of_tests.kernels[step.kernel].params_bytes;
        ASAN_UNPOISON_MEMORY_REGION(table.data() + step.params, bytes);
    }
    for (size_t index = 0; index < header.places; ++index) {
        Place place;
        std::memcpy(&place, table.data() + places + index * sizeof place, sizeof place);
        if (region(place) == kTable) {
            ASAN_UNPOISON_MEMORY_REGION(table.data() + place.offset, bytes(place));
        }
    }
#endif
}

bool read(const File& file, std::span<unsigned char> bytes) {
    return bytes.empty() || file.read(std::as_writable_bytes(bytes));
}

bool run_next(const File& inputs, const File& outputs, size_t& left) {
    Header header;
    if (left < sizeof header || !inputs.read(std::as_writable_bytes(std::span(&header, 1))) ||
        left < header.size) {
        return false;
    }
    left -= header.size;
    const Block table(header.size);
    std::memcpy(table.span().data(), &header, sizeof header);
    if (!read(inputs, table.span().subspan(sizeof header))) {
        return false;
    }
    const Block arena(header.memory[0]), fast(header.memory[1]), state(header.memory[2]);
    Plan plan(kernels_of_tests, {arena.span(), fast.span(), state.span()});
    if (const Status status = plan.load(table.span()); status != Status::kOk) {
        std::exit(20 + static_cast<int>(status));
    }
    poison(table.span());
    for (size_t index = 0; index < plan.input_count(); ++index) {
        if (left < plan.input(index).size() || !read(inputs, plan.input(index))) {
            return false;
        }
        left -= plan.input(index).size();
    }
    plan.run();
    for (size_t index = 0; index < plan.output_count(); ++index) {
        if (!plan.output(index).empty() && !outputs.write(std::as_bytes(plan.output(index)))) {
            return false;
        }
    }
    if (header.memory[2] != 0 && !outputs.write(std::as_bytes(state.span()))) {
        return false;
    }
#ifdef __SANITIZE_ADDRESS__
    ASAN_UNPOISON_MEMORY_REGION(table.span().data(), table.span().size());
#endif
    return true;
}

}  // namespace

int main() {
    const File inputs("inputs.bin", Mode::kRead);
    const File outputs("outputs.bin", Mode::kWrite);
    if (!inputs.ok() || !outputs.ok()) {
        return 10;
    }
    size_t left = inputs.size().value_or(0);
    while (left > 0) {
        if (!run_next(inputs, outputs, left)) {
            return 11;
        }
    }
    return 0;
}
