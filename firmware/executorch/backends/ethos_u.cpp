// EthosUBackend: command stream and weights stay where they are in the program, inputs and outputs are copied
// to and from the scratch memory, which is temporary memory of the method.

#include "mcu/drivers/ethos_u.h"

#include <executorch/runtime/backend/interface.h>

#include <cstring>

#include "mcu/executorch/ethos_u_backend.h"
#include "mcu/executorch/model.h"
#include "mcu/executorch/vela.h"
#include "mcu/platform.h"
#include "mcu/text.h"

namespace mcu::et {
namespace {

namespace runtime = ::executorch::runtime;
using runtime::Error;
using runtime::EValue;

constexpr char kName[] = "EthosUBackend";
constexpr size_t kAlignment = 16;

// A loaded delegate.
struct Handle {
    vela::Payload payload;
    std::span<std::byte> fast_scratch;
};

std::span<std::byte> fast_memory;

void say(std::string_view words) {
    platform::write_console("EthosUBackend: ");
    platform::write_console(words);
    platform::write_console("\n");
}

Error failed(const ethos_u::Result& result) {
    say(ethos_u::in_words(result.error));
    Text text;
    text.add("STATUS ").hexadecimal(result.status);
    text.add(", byte ").decimal(result.command).add(" of the command stream");
    say(text.view());
    return Error::Internal;
}

// Data beside the program stay where they are, too: nothing of what is found here is ever freed.
vela::Bytes named(const void* map, std::string_view name) {
    if (map == nullptr) {
        return {};
    }
    const auto found = static_cast<const runtime::NamedDataMap*>(map)->get_data(name);
    return found.ok() ? vela::Bytes(static_cast<const std::byte*>(found->data()), found->size())
                      : vela::Bytes();
}

// Copies tensors to their places in scratch memory, or back. False where one is not what the NPU has there.
bool copy(const vela::Bindings& places, const EValue* const* values, std::byte* scratch, bool is_input) {
    for (size_t index = 0; index < places.size(); ++index) {
        const vela::Binding place = places[index];
        const EValue& value = *values[index];
        if (!value.isTensor() || value.toTensor().nbytes() != place.bytes ||
            static_cast<uint32_t>(value.toTensor().element_size()) != place.element_bytes) {
            say("a tensor of the program is not what the NPU has there");
            return false;
        }
        auto* const bytes = value.toTensor().mutable_data_ptr<std::byte>();
        std::byte* const there = scratch + place.offset;
        std::memcpy(is_input ? there : bytes, is_input ? bytes : there, place.bytes);
    }
    return true;
}

class EthosUBackend final : public runtime::BackendInterface {
public:
    bool is_available() const override { return ethos_u::is_present(); }

    runtime::Result<runtime::DelegateHandle*> init(runtime::BackendInitContext& context,
                                                   runtime::FreeableBuffer* processed,
                                                   runtime::ArrayRef<runtime::CompileSpec>) const override {
        vela::Payload payload;
        const auto* const data = static_cast<const std::byte*>(processed->data());
        const char* const wrong =
            vela::read({data, processed->size()}, named, context.get_named_data_map(), payload);
        if (wrong != nullptr) {
            say(wrong);
            return Error::InvalidProgram;
        }
        const ethos_u::Error other = ethos_u::check(payload.configuration, payload.id);
        if (other != ethos_u::Error::kNone) {
            say(ethos_u::in_words(other));
            return Error::DelegateInvalidCompatibility;
        }
        void* const memory = context.get_runtime_allocator()->allocate(sizeof(Handle), alignof(Handle));
        if (memory == nullptr) {
            return Error::MemoryAllocationFailed;
        }
        return new (memory) Handle{payload, fast_memory};
    }

    Error execute(runtime::BackendExecutionContext& context, runtime::DelegateHandle* handle,
                  runtime::Span<EValue*> arguments) const override {
        const auto& [payload, fast_scratch] = *static_cast<const Handle*>(handle);
        const size_t inputs = payload.inputs.size();
        if (arguments.size() != inputs + payload.outputs.size()) {
            say("the program has another number of inputs and outputs than the NPU");
            return Error::InvalidProgram;
        }
        auto* const scratch = static_cast<std::byte*>(context.allocate(payload.scratch_bytes, kAlignment));
        if (scratch == nullptr) {
            return Error::MemoryAllocationFailed;
        }
        if (!copy(payload.inputs, arguments.data(), scratch, true)) {
            return Error::InvalidProgram;
        }
        const ethos_u::Result result =
            ethos_u::run({.commands = {payload.commands.data(), payload.commands.size_bytes()},
                          .configuration = payload.configuration,
                          .id = payload.id,
                          .weights = {payload.weights.data(), payload.weights.size()},
                          .scratch = {scratch, payload.scratch_bytes},
                          .fast_scratch = {fast_scratch.data(), fast_scratch.size()}});
        if (result.error != ethos_u::Error::kNone) {
            return failed(result);
        }
        const bool copied = copy(payload.outputs, arguments.data() + inputs, scratch, false);
        return copied ? Error::Ok : Error::InvalidProgram;
    }
};

Later<EthosUBackend> backend;

}  // namespace

void add_ethos_u(std::span<unsigned char> fast_scratch) {
    fast_memory = std::as_writable_bytes(fast_scratch);
    if (runtime::get_backend_class(kName) == nullptr) {
        // It fails only where sixteen others are there: programs then do not find it.
        (void)runtime::register_backend({kName, &backend.make()});
    }
}

}  // namespace mcu::et
