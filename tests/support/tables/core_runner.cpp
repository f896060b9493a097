// Runs plans that are data on a simulated core, one after the other: runner.cpp without a heap or sanitizers.
//
// Linked with `kernels_of_tests`, the kernels by number. inputs.bin holds, for each plan, its table and the
// bytes of its inputs; outputs.bin gets the bytes of its outputs, and its state behind them. A plan that is
// refused ends the run with 20 and its status, one that writes behind its memory with 40. Memory that nobody
// has written is 0xA5.

#include <algorithm>

#include "mcu/files.h"
#include "mcu/platform.h"
#include "mcu/runtime/plan.h"
#include "mcu/text.h"

extern const mcu::runtime::KernelSet kernels_of_tests;

// What is counted: calls of kernels alone.
extern "C" [[gnu::noinline]] void cases_run(const mcu::runtime::Plan& plan) {
    plan.run();
}

namespace {

using namespace mcu::runtime;
using mcu::Text;
using mcu::platform::File;
using mcu::platform::Mode;

constexpr auto kDone = static_cast<int>(mcu::platform::Status::kOk);
constexpr auto kNoMemory = 39, kWrittenBehind = 40;
constexpr unsigned char kPoison = 0xA5;
constexpr size_t kGuard = 32;

alignas(kAlignment) __attribute__((section(".bss.mcu_arena.cases"))) unsigned char memory[MCU_CASES_MEMORY];

// Takes blocks off the memory, with bytes behind each that nobody may write.
class Blocks {
public:
    std::span<unsigned char> take(size_t size) {
        const size_t whole = (size + kGuard + kAlignment - 1) / kAlignment * kAlignment;
        if (whole > sizeof memory - taken_) {
            mcu::platform::exit(static_cast<mcu::platform::Status>(kNoMemory));
        }
        const std::span block(memory + taken_, whole);
        std::fill(block.begin(), block.end(), kPoison);
        taken_ += whole;
        return block.first(size);
    }
    static bool is_whole(std::span<const unsigned char> block) {
        const std::span guard(block.data() + block.size(), kGuard);
        return std::all_of(guard.begin(), guard.end(), [](unsigned char byte) { return byte == kPoison; });
    }

private:
    size_t taken_ = 0;
};

int status_of(mcu::platform::Status status) {
    return static_cast<int>(status);
}

bool read(const File& file, std::span<unsigned char> bytes) {
    return bytes.empty() || file.read(std::as_writable_bytes(bytes));
}

// Runs the plan that comes next. `read_bytes` and `written` grow by what was read and written.
int run_next(const File& inputs, const File& outputs, size_t& read_bytes, size_t& written) {
    Header header;
    if (!inputs.read(std::as_writable_bytes(std::span(&header, 1)))) {
        return status_of(mcu::platform::Status::kCannotRead);
    }
    Blocks blocks;
    const auto table = blocks.take(header.size);
    std::memcpy(table.data(), &header, sizeof header);
    if (!read(inputs, table.subspan(sizeof header))) {
        return status_of(mcu::platform::Status::kCannotRead);
    }
    read_bytes += table.size();
    const std::span<unsigned char> parts[] = {blocks.take(header.memory[0]), blocks.take(header.memory[1]),
                                              blocks.take(header.memory[2])};
    Plan plan(kernels_of_tests, {parts[0], parts[1], parts[2]});
    if (const Status status = plan.load(table); status != Status::kOk) {
        return 20 + static_cast<int>(status);
    }
    for (size_t index = 0; index < plan.input_count(); ++index) {
        if (!read(inputs, plan.input(index))) {
            return status_of(mcu::platform::Status::kCannotRead);
        }
        read_bytes += plan.input(index).size();
    }
    cases_run(plan);
    if (mcu::platform::stack_overflowed()) {
        return status_of(mcu::platform::Status::kStackOverflow);
    }
    if (!std::all_of(std::begin(parts), std::end(parts), Blocks::is_whole)) {
        return kWrittenBehind;
    }
    for (size_t index = 0; index < plan.output_count(); ++index) {
        const auto output = plan.output(index);
        if (!output.empty() && !outputs.write(std::as_bytes(output))) {
            return status_of(mcu::platform::Status::kCannotWrite);
        }
        written += output.size();
    }
    if (!parts[2].empty() && !outputs.write(std::as_bytes(parts[2]))) {
        return status_of(mcu::platform::Status::kCannotWrite);
    }
    written += parts[2].size();
    return kDone;
}

// The proof of success that a run wants: as from the harness of a model, of one vector.
bool write_status(size_t written) {
    const File file("status.txt", Mode::kWrite);
    const auto stack = mcu::platform::stack_use();
    Text text;
    text.add("vectors 1\noutput_size ").decimal(static_cast<uint32_t>(written));
    text.add("\nstack_used ").decimal(stack.used).add("\nstack_size ").decimal(stack.size);
    Text last;
    last.add("\ncycles_min 0\ncycles_max 0\ndone\n");
    return file.ok() && file.write(std::as_bytes(std::span(text.view()))) &&
           file.write(std::as_bytes(std::span(last.view())));
}

}  // namespace

int main() {
    const File inputs("inputs.bin", Mode::kRead);
    const File outputs("outputs.bin", Mode::kWrite);
    if (!inputs.ok()) {
        return status_of(mcu::platform::Status::kNoInputs);
    }
    size_t read_bytes = 0, written = 0;
    while (read_bytes < inputs.size().value_or(0)) {
        if (const int status = run_next(inputs, outputs, read_bytes, written); status != kDone) {
            return status;
        }
    }
    return write_status(written) ? kDone : status_of(mcu::platform::Status::kCannotWrite);
}
