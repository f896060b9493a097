// ExecuTorch's own kernels under its schemas: one function for each, which reads arguments as the kernel's
// type says.
//
// Only generated sources include this.

#pragma once

#include <executorch/runtime/core/evalue.h>
#include <executorch/runtime/kernel/kernel_runtime_context.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

#include "mcu/executorch/arguments.h"

namespace mcu::et {

using ::executorch::aten::Tensor;
using IntegerList = ::executorch::aten::ArrayRef<int64_t>;

template <typename T>
decltype(auto) argument(EValue& value) {
    using Plain = std::remove_cvref_t<T>;
    if constexpr (std::is_same_v<Plain, Tensor>) {
        return static_cast<Tensor&>(value.toTensor());
    } else if constexpr (std::is_same_v<Plain, std::optional<Tensor>>) {
        return value.toOptional<Tensor>();
    } else if constexpr (std::is_same_v<Plain, IntegerList>) {
        return value.toIntList();
    } else if constexpr (std::is_same_v<Plain, ScalarType>) {
        return value.toScalarType();
    } else if constexpr (std::is_same_v<Plain, bool>) {
        return value.toBool();
    } else if constexpr (std::is_same_v<Plain, double>) {
        return value.toDouble();
    } else {
        static_assert(std::is_same_v<Plain, int64_t>);
        return value.toInt();
    }
}

template <auto kernel, typename... Operands, size_t... index>
[[gnu::always_inline]] inline void call_upstream(Tensor& (*)(KernelRuntimeContext&, Operands...),
                                                 KernelRuntimeContext& context, Values values,
                                                 std::index_sequence<index...>) {
    kernel(context, argument<Operands>(*values[index])...);
}

// Calls a kernel of `count` operands. Always inline: the name of an instance is as long as the types are
// many.
template <auto kernel, size_t count>
[[gnu::always_inline]] inline void upstream(KernelRuntimeContext& context, Values values) {
    if (values.size() < count) {
        context.fail(::executorch::runtime::Error::InvalidArgument);
        return;
    }
    call_upstream<kernel>(kernel, context, values, std::make_index_sequence<count>());
}

}  // namespace mcu::et
