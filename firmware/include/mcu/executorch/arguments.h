// The arguments of an operator as ExecuTorch hands them over, checked and in the terms of our kernels.
//
// A wrong argument makes the call fail (KernelRuntimeContext::fail), and every later question gives something
// harmless; an adapter asks for all it needs, then looks at ok() once, then calls its kernel.

#pragma once

#include <executorch/runtime/kernel/kernel_includes.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

namespace mcu::et {

using ::executorch::aten::ScalarType;
using ::executorch::runtime::EValue;
using ::executorch::runtime::KernelRuntimeContext;
using Values = ::executorch::runtime::Span<EValue*>;

// The most dimensions of our kernels' iteration spaces.
inline constexpr int32_t kRank = 6;

// A tensor: sizes and strides (in elements) of its dimensions, and the order of these in memory, outermost
// first.
struct Operand {
    std::byte* data = nullptr;
    ScalarType type = ScalarType::Byte;
    int32_t element_bytes = 1;
    int32_t elements = 0;
    int32_t rank = 0;
    int32_t size[kRank]{};
    int32_t stride[kRank]{};
    uint8_t order[kRank]{};

    template <typename T>
    T* as() const {
        return reinterpret_cast<T*>(data);
    }
};

class Arguments {
public:
    Arguments(KernelRuntimeContext& context, Values values) : context_(context), values_(values) {}

    bool ok() const { return ok_; }
    // Let the call fail where something does not hold.
    void require(bool holds);

    bool is_none(size_t index);
    int32_t integer(size_t index);
    int64_t long_integer(size_t index);
    double real(size_t index);
    std::span<const int64_t> integers(size_t index);

    Operand tensor(size_t index);
    Operand tensor(size_t index, ScalarType type);
    // Without data where the argument is absent.
    Operand optional_tensor(size_t index, ScalarType type);
    // The tensor that an .out operator writes: its last argument.
    Operand output() { return tensor(values_.size() - 1); }
    Operand output(ScalarType type) { return tensor(values_.size() - 1, type); }
    // A list of tensors.
    size_t count(size_t index);
    Operand item(size_t index, size_t position);

    // The data of a tensor with its dimensions in this memory layout: its own, or a copy in temporary
    // memory.
    const std::byte* ordered(const Operand& operand, std::span<const uint8_t> order);
    template <typename T>
    const T* contiguous(const Operand& operand) {
        return reinterpret_cast<const T*>(ordered(operand, kContiguous));
    }
    // The data in the memory layout of `as`, which has the same sizes.
    const std::byte* ordered_as(const Operand& operand, const Operand& as);
    // Where a kernel writes an output in the order of its dimensions, and what brings it into its own order.
    template <typename T>
    T* contiguous_output(const Operand& output) {
        return reinterpret_cast<T*>(begin_output(output));
    }
    void finish_output(const Operand& output, const void* written);

    // Memory of this call alone; null where there is too little.
    void* temporary(size_t bytes);

    // The output's elements are those of `data`, `strides[i]` elements apart along dimension i of the output.
    void copy_strided(const std::byte* data, std::span<const int32_t> strides, const Operand& output);
    // The same elements, counted in the order of the dimensions, under another shape.
    void reshape(const Operand& source, const Operand& output);
    // Strides of `operand` along the dimensions of `output`, 0 where it is repeated. False where it does not
    // broadcast.
    static bool expanded(const Operand& operand, const Operand& output, int32_t* strides);
    // A dimension, or a position in one of `rank` entries, counted from the front.
    int32_t axis(int64_t dimension, int32_t rank);

    static constexpr uint8_t kContiguous[kRank] = {0, 1, 2, 3, 4, 5};

private:
    const EValue* value(size_t index);
    std::byte* begin_output(const Operand& output);
    Operand operand(const ::executorch::aten::Tensor& tensor);

    KernelRuntimeContext& context_;
    Values values_;
    const EValue none_;
    bool ok_ = true;
};

bool same_sizes(const Operand& a, const Operand& b);

}  // namespace mcu::et
