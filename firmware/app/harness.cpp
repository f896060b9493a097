// The main of a test image: runs the model over every vector of inputs.bin and writes what comes out.
//
// Compiled with MCU_MODEL_HEADER, the model's header, and MCU_MODEL, its namespace. Files, in the working
// directory of the simulator or debugger:
//   inputs.bin   read: for each vector, the bytes of each input in order; nothing else. Before them, for a
//                model with state, a byte: 1 begins a sequence, 0 goes on.
//   outputs.bin  written: for each vector, the bytes of each output in order, then those of the state
//   status.txt   written at the end: lines "vectors N", "output_size N" (bytes for a vector), "stack_used N",
//                "stack_size N", "cycles_min N", "cycles_max N" (of an inference; 0 where nothing counts
//                them), "done". Without "done" the run has failed.
//                Under ExecuTorch's runtime (MCU_EXECUTORCH) also "method_pool N" and "temp_pool N", bytes
//                that were used, before "done".

#include <cstddef>
#include <cstdint>
#include <span>

#include MCU_MODEL_HEADER
#include "mcu/files.h"
#include "mcu/platform.h"
#include "mcu/text.h"

namespace model = MCU_MODEL;

namespace {

using mcu::Text;
using mcu::platform::File;
using mcu::platform::Mode;
using mcu::platform::StackUse;
using mcu::platform::Status;

static_assert(model::input_count > 0 && model::output_count > 0);

// An output that the model does not write must not look like one that it did.
constexpr auto kPoison = std::byte{0xA5};

constexpr bool kHasState = model::state_size > 0;

size_t input_size() {
    size_t bytes = kHasState ? 1 : 0;
    for (size_t index = 0; index < model::input_count; ++index) {
        bytes += model::input_bytes(index).size();
    }
    return bytes;
}

size_t output_size() {
    size_t bytes = 0;
    for (size_t index = 0; index < model::output_count; ++index) {
        bytes += model::output_bytes(index).size();
    }
    return bytes + model::state_size;
}

struct Cycles {
    uint32_t min = UINT32_MAX;
    uint32_t max = 0;
};

bool begin_vector(const File& inputs) {
    if constexpr (kHasState) {
        std::byte begins{};
        if (!inputs.read(std::span(&begins, 1))) {
            return false;
        }
        if (begins != std::byte{0}) {
            model::reset();
        }
    }
    return true;
}

Status run_vector(const File& inputs, const File& outputs, Cycles& cycles) {
    if (!begin_vector(inputs)) {
        return Status::kCannotRead;
    }
    // Poison first: outputs may share their bytes with inputs.
    for (size_t index = 0; index < model::output_count; ++index) {
        for (std::byte& byte : model::output_bytes(index)) {
            byte = kPoison;
        }
    }
    for (size_t index = 0; index < model::input_count; ++index) {
        if (!inputs.read(model::input_bytes(index))) {
            return Status::kCannotRead;
        }
    }
    const uint32_t start = mcu::platform::cycles();
    model::run();
    const uint32_t taken = mcu::platform::cycles() - start;
    cycles = {taken < cycles.min ? taken : cycles.min, taken > cycles.max ? taken : cycles.max};
    if (mcu::platform::stack_overflowed()) {
        return Status::kStackOverflow;
    }
    for (size_t index = 0; index < model::output_count; ++index) {
        if (!outputs.write(model::output_bytes(index))) {
            return Status::kCannotWrite;
        }
    }
    if constexpr (kHasState) {
        if (!outputs.write(model::state())) {
            return Status::kCannotWrite;
        }
    }
    return Status::kOk;
}

Status run_vectors(size_t& vectors, Cycles& cycles) {
    const File inputs("inputs.bin", Mode::kRead);
    if (!inputs.ok()) {
        return Status::kNoInputs;
    }
    const size_t bytes = inputs.size().value_or(0);
    if (bytes == 0) {
        return Status::kNoInputs;
    }
    if (bytes % input_size() != 0) {
        return Status::kPartialVector;
    }
    const File outputs("outputs.bin", Mode::kWrite);
    if (!outputs.ok()) {
        return Status::kCannotWrite;
    }
    vectors = bytes / input_size();
    for (size_t vector = 0; vector < vectors; ++vector) {
        if (const Status status = run_vector(inputs, outputs, cycles); status != Status::kOk) {
            return status;
        }
    }
    return Status::kOk;
}

bool write(const File& file, const Text& text) {
    return file.write(std::as_bytes(std::span(text.view())));
}

Status write_status(size_t vectors, const Cycles& cycles) {
    const StackUse stack = mcu::platform::stack_use();
    Text text;
    text.add("vectors ").decimal(static_cast<uint32_t>(vectors));
    text.add("\noutput_size ").decimal(static_cast<uint32_t>(output_size()));
    text.add("\nstack_used ").decimal(stack.used);
    text.add("\nstack_size ").decimal(stack.size).add("\n");
    Text more;
    more.add("cycles_min ").decimal(cycles.min);
    more.add("\ncycles_max ").decimal(cycles.max).add("\n");
    Text last;
#ifdef MCU_EXECUTORCH
    last.add("method_pool ").decimal(static_cast<uint32_t>(model::method_pool_used()));
    last.add("\ntemp_pool ").decimal(static_cast<uint32_t>(model::temp_pool_used())).add("\n");
#endif
    last.add("done\n");
    const File file("status.txt", Mode::kWrite);
    const bool written = file.ok() && write(file, text) && write(file, more) && write(file, last);
    return written ? Status::kOk : Status::kCannotWrite;
}

}  // namespace

int main() {
    size_t vectors = 0;
    Cycles cycles;
    Status status = run_vectors(vectors, cycles);
    if (status == Status::kOk) {
        status = write_status(vectors, cycles);
    }
    return static_cast<int>(status);
}
