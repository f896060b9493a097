#include "mcu/executorch/model.h"

#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/platform/platform.h>
#include <executorch/runtime/platform/runtime.h>

#include <cstring>

#include "mcu/platform.h"
#include "mcu/text.h"

namespace mcu::et {

namespace runtime = ::executorch::runtime;
using runtime::Error;
using runtime::EValue;

namespace {

// Every tensor of a memory plan may be read by vectors of this many bytes.
constexpr size_t kAlignment = 16;

// Where a program with state has it: which memory of its plan, which of its constants are the initial values.
constexpr size_t kStateMemory = 1;
constexpr size_t kInitialState = 1;

constexpr size_t aligned(size_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

Status status_of(Error error) {
    switch (error) {
        case Error::Ok:
            return Status::kOk;
        case Error::OperatorMissing:
            return Status::kMissingOperator;
        case Error::MemoryAllocationFailed:
            return Status::kPoolTooSmall;
        case Error::DelegateInvalidCompatibility:
            return Status::kWrongDelegate;
        default:
            return Status::kBadProgram;
    }
}

// The first `bytes` of what is left of `memory`; empty where there are fewer.
std::span<unsigned char> take(std::span<unsigned char>& memory, size_t bytes) {
    if (aligned(bytes) > memory.size()) {
        return {};
    }
    const auto taken = memory.first(bytes);
    memory = memory.subspan(aligned(bytes));
    return taken;
}

std::span<std::byte> bytes_of(const EValue& value) {
    const auto& tensor = value.toTensor();
    return {tensor.mutable_data_ptr<std::byte>(), tensor.nbytes()};
}

// Whether a delegate of the method has no back end that is available. They are named on the console.
bool lacks_back_ends(const runtime::MethodMeta& meta) {
    bool lacks = false;
    for (size_t i = 0; i < meta.num_backends(); ++i) {
        const char* const name = *meta.get_backend_name(i);
        const auto* const backend = runtime::get_backend_class(name);
        if (backend != nullptr && backend->is_available()) {
            continue;
        }
        platform::write_console(name);
        platform::write_console(backend == nullptr ? ": not linked; build with --ops-from <program>.pte\n"
                                                   : ": its device does not answer\n");
        lacks = true;
    }
    return lacks;
}

}  // namespace

const char* words(Status status) {
    switch (status) {
        case Status::kOk:
            return "ok";
        case Status::kBadProgram:
            return "not a program for this runtime, or a damaged one";
        case Status::kMissingOperator:
            return "an operator of the program is not linked; build with --ops-from <program>.pte";
        case Status::kPoolTooSmall:
            return "a memory pool is too small for the program";
        case Status::kWrongPorts:
            return "inputs or outputs of the program are not those of the firmware";
        case Status::kFailed:
            return "an operator or a delegate of the program failed";
        case Status::kNoProgram:
            return "no program slot holds a program for this firmware";
        case Status::kWrongDelegate:
            return "a delegate of the program has no back end here, or is for another device";
    }
    return "?";
}

Status Model::load(std::span<const unsigned char> program) {
    et_pal_init();
    runtime::runtime_init();
    if (loaded_) {
        loaded_ = false;
        method_->~Method();
        program_->~Program();
    }
    if (parts_.add_backends != nullptr) {
        parts_.add_backends();
    }
    loader_.make(program.data(), program.size());
    auto opened = runtime::Program::load(&*loader_);
    if (!opened.ok()) {
        return status_of(opened.error());
    }
    program_.make(std::move(*opened));
    const Status status = load_method();
    loaded_ = status == Status::kOk;
    return status;
}

Status Model::load_method() {
    const auto meta = program_->method_meta(parts_.method);
    if (!meta.ok()) {
        return status_of(meta.error());
    }
    const size_t buffers = meta->num_memory_planned_buffers();
    if (buffers > kMaxBuffers) {
        return Status::kPoolTooSmall;
    }
    auto planned = parts_.planned;
    auto state = parts_.state;
    buffers_[kStateMemory] = {};
    for (size_t i = 0; i < buffers; ++i) {
        const auto size = meta->memory_planned_buffer_size(i);
        auto& memory = i == kStateMemory && !parts_.state.empty() ? state : planned;
        const auto buffer = take(memory, static_cast<size_t>(size.ok() ? *size : 0));
        if (buffer.size() != static_cast<size_t>(size.ok() ? *size : -1)) {
            return Status::kPoolTooSmall;
        }
        buffers_[i] = {buffer.data(), buffer.size()};
    }
    method_pool_.make(parts_.method_pool);
    temp_pool_.make(parts_.temp_pool);
    has_pools_ = true;
    planned_.make(runtime::Span<runtime::Span<uint8_t>>(buffers_, buffers));
    memory_.make(&*method_pool_, &*planned_, &*temp_pool_);
    const auto* const weights = parts_.weights == nullptr ? nullptr : parts_.weights();
    auto loaded = program_->load_method(parts_.method, &*memory_, nullptr, weights, nullptr,
                                        {parts_.kernels.data(), parts_.kernels.size()});
    if (!loaded.ok()) {
        // Weights of the program's may be what is not found, too.
        const bool lacks = loaded.error() == Error::NotFound && lacks_back_ends(*meta);
        return lacks ? Status::kWrongDelegate : status_of(loaded.error());
    }
    method_.make(std::move(*loaded));
    if (!reset()) {
        return Status::kBadProgram;
    }
    auto ports = parts_.ports;
    const Status bound = bind_inputs(ports);
    return bound == Status::kOk ? bind_outputs(ports) : bound;
}

// Each input is either part of the memory plan and gets its values there, or it is ours.
//
// mutable_input() is deprecated in favour of set_input(), which copies each of them; there is no other way to
// the memory that the plan gives them. It also counts as setting the input, which ExecuTorch needs to see
// once.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
Status Model::bind_inputs(std::span<unsigned char>& ports) {
    const auto meta = method_->method_meta();
    if (method_->inputs_size() != parts_.input_bytes.size()) {
        return Status::kWrongPorts;
    }
    for (size_t i = 0; i < parts_.input_bytes.size(); ++i) {
        const auto info = meta.input_tensor_meta(i);
        if (!info.ok() || info->nbytes() != parts_.input_bytes[i]) {
            return Status::kWrongPorts;
        }
        auto& tensor = method_->mutable_input(i).toTensor();
        if (!info->is_memory_planned()) {
            const auto ours = take(ports, info->nbytes());
            if (ours.data() == nullptr) {
                return Status::kWrongPorts;
            }
            tensor.set_data(ours.data());
        }
    }
    return Status::kOk;
}

std::span<std::byte> Model::input(size_t index) {
    load_or_stop();
    return bytes_of(method_->mutable_input(index));
}
#pragma GCC diagnostic pop

Status Model::bind_outputs(std::span<unsigned char>& ports) {
    const auto meta = method_->method_meta();
    if (method_->outputs_size() != parts_.output_bytes.size()) {
        return Status::kWrongPorts;
    }
    for (size_t i = 0; i < parts_.output_bytes.size(); ++i) {
        const auto info = meta.output_tensor_meta(i);
        if (!info.ok() || info->nbytes() != parts_.output_bytes[i]) {
            return Status::kWrongPorts;
        }
        if (!info->is_memory_planned() && bytes_of(method_->get_output(i)).data() == nullptr) {
            const auto ours = take(ports, info->nbytes());
            if (method_->set_output_data_ptr(ours.data(), ours.size(), i) != Error::Ok) {
                return Status::kWrongPorts;
            }
        }
    }
    return Status::kOk;
}

Status Model::run() {
    if (!loaded_) {
        return Status::kBadProgram;
    }
    const Error error = method_->execute();
    if (error == Error::Ok || error == Error::MemoryAllocationFailed) {
        return status_of(error);
    }
    return Status::kFailed;
}

bool Model::reset() {
    const size_t size = parts_.state.empty() ? 0 : buffers_[kStateMemory].size();
    if (size == 0) {
        return true;
    }
    const auto initial = program_->get_constant_buffer_data(kInitialState, size);
    if (!initial.ok()) {
        return false;
    }
    std::memcpy(parts_.state.data(), *initial, size);
    return true;
}

std::span<std::byte> Model::state() {
    load_or_stop();
    return std::as_writable_bytes(parts_.state);
}

void Model::reset_or_stop() {
    load_or_stop();
    if (!reset()) {
        stop(Status::kBadProgram);
    }
}

std::span<std::byte> Model::output(size_t index) {
    load_or_stop();
    return bytes_of(method_->get_output(index));
}

void Model::run_or_stop() {
    load_or_stop();
    if (const Status status = run(); status != Status::kOk) {
        stop(status);
    }
}

void Model::load_or_stop() {
    if (loaded_) {
        return;
    }
    const Status status = parts_.load == nullptr ? load() : parts_.load();
    if (status != Status::kOk) {
        stop(status);
    }
}

PoolUse Model::use() {
    return has_pools_ ? PoolUse{method_pool_->most(), temp_pool_->most()} : PoolUse{0, 0};
}

void Model::stop(Status status) {
    Text text;
    text.add("mcu: ").add(parts_.name).add(": ");
    platform::write_console(text.view());
    platform::write_console(words(status));
    if (status == Status::kPoolTooSmall && has_pools_) {
        const PoolUse taken = use();
        Text sizes;
        sizes.add("\nmcu: bytes wanted: method pool ").decimal(static_cast<uint32_t>(taken.method));
        sizes.add(" of ").decimal(static_cast<uint32_t>(parts_.method_pool.size()));
        sizes.add(", temporary ").decimal(static_cast<uint32_t>(taken.temp));
        sizes.add(" of ").decimal(static_cast<uint32_t>(parts_.temp_pool.size()));
        platform::write_console(sizes.view());
    }
    platform::write_console("\n");
    if (parts_.explain != nullptr) {
        parts_.explain();
    }
    platform::exit(platform::Status::kProgram);
}

}  // namespace mcu::et
