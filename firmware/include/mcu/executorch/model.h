// A program in memory, loaded and run by ExecuTorch's own runtime. No heap: everything lies in memory that
// the image brings.
//
// Only generated sources include this; an application includes the header of its model.

#pragma once

#include <executorch/extension/data_loader/buffer_data_loader.h>
#include <executorch/runtime/core/hierarchical_allocator.h>
#include <executorch/runtime/core/memory_allocator.h>
#include <executorch/runtime/executor/memory_manager.h>
#include <executorch/runtime/executor/method.h>
#include <executorch/runtime/executor/program.h>
#include <executorch/runtime/kernel/operator_registry.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <utility>

#include "mcu/executorch/status.h"

namespace mcu::et {

// Room for an object that is made later and never destroyed: no constructor or destructor runs by itself.
template <typename T>
class Later {
public:
    template <typename... Arguments>
    T& make(Arguments&&... arguments) {
        return *new (bytes_) T(std::forward<Arguments>(arguments)...);
    }
    T& operator*() { return *std::launder(reinterpret_cast<T*>(bytes_)); }
    T* operator->() { return &**this; }

private:
    alignas(T) std::byte bytes_[sizeof(T)]{};
};

// Memory that is handed out from its start, and that remembers the most that was ever taken or asked for.
class Pool final : public ::executorch::runtime::MemoryAllocator {
public:
    explicit Pool(std::span<unsigned char> bytes)
        : MemoryAllocator(static_cast<uint32_t>(bytes.size()), bytes.data()) {}

    void* allocate(size_t size, size_t alignment = kDefaultAlignment) override {
        void* const found = MemoryAllocator::allocate(size, alignment);
        const size_t wanted = used_size() + (found == nullptr ? size + alignment : 0);
        most_ = wanted > most_ ? wanted : most_;
        return found;
    }
    // More than size() where something did not fit.
    size_t most() const { return most_; }

private:
    size_t most_ = 0;
};

// What the image brings for a model.
struct Parts {
    const char* name;
    std::span<const unsigned char> program;
    const char* method;
    std::span<const ::executorch::runtime::Kernel> kernels;
    std::span<unsigned char> planned;      // the program's memory plan
    std::span<unsigned char> method_pool;  // ExecuTorch's structures of the loaded method
    std::span<unsigned char> temp_pool;    // of one operator at a time
    std::span<unsigned char> ports;        // inputs and outputs that the program leaves to the caller
    std::span<const size_t> input_bytes;
    std::span<const size_t> output_bytes;
    // The second memory of a plan that keeps something from call to call.
    std::span<unsigned char> state = {};
    // Where programs have delegates: makes their back ends known, before one is loaded.
    void (*add_backends)() = nullptr;
    // Where the program is in slots: both for the model's first use, which loads the program or ends the
    // firmware.
    Status (*load)() = nullptr;
    void (*explain)() = nullptr;
    // Weights that lie apart from the program.
    const ::executorch::runtime::NamedDataMap* (*weights)() = nullptr;
};

// The most that loading and running took, in bytes.
struct PoolUse {
    size_t method;
    size_t temp;
};

class Model {
public:
    constexpr explicit Model(const Parts& parts) : parts_(parts) {}

    // Loads the program that the image brings, or another in its place. On failure nothing is loaded.
    Status load() { return load(parts_.program); }
    Status load(std::span<const unsigned char> program);
    // One inference.
    Status run();
    // Gives the state of a program that is loaded its initial values. False where the program lacks them.
    bool reset();

    // As the header of the model offers them: a program that cannot be loaded or run ends the firmware.
    std::span<std::byte> input(size_t index);
    std::span<std::byte> output(size_t index);
    std::span<std::byte> state();
    void reset_or_stop();
    void run_or_stop();

    PoolUse use();

private:
    Status load_method();
    Status bind_inputs(std::span<unsigned char>& ports);
    Status bind_outputs(std::span<unsigned char>& ports);
    void load_or_stop();
    [[noreturn]] void stop(Status status);

    static constexpr size_t kMaxBuffers = 8;

    Parts parts_;
    bool loaded_ = false;
    bool has_pools_ = false;
    ::executorch::runtime::Span<uint8_t> buffers_[kMaxBuffers];
    Later<::executorch::extension::BufferDataLoader> loader_;
    Later<::executorch::runtime::Program> program_;
    Later<Pool> method_pool_;
    Later<Pool> temp_pool_;
    Later<::executorch::runtime::HierarchicalAllocator> planned_;
    Later<::executorch::runtime::MemoryManager> memory_;
    Later<::executorch::runtime::Method> method_;
};

}  // namespace mcu::et
