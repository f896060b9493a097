// aten and dim_order_ops: operators that move elements and compute nothing.

#include <algorithm>
#include <limits>

#include "mcu/executorch/operators.h"
#include "mcu/kernels/concat.h"

namespace mcu::et {
namespace {

// `count` entries of a dimension of the input, every `step`-th from `start`, into the output.
void copy_slice(Arguments& arguments, const Operand& input, int32_t dimension, int32_t start, int32_t step,
                const Operand& output) {
    int32_t strides[kRank]{};
    for (int32_t i = 0; i < input.rank; ++i) {
        strides[i] = input.stride[i] * (i == dimension ? step : 1);
        arguments.require(i == dimension || input.size[i] == output.size[i]);
    }
    const std::ptrdiff_t offset = std::ptrdiff_t{start} * input.stride[dimension] * input.element_bytes;
    arguments.copy_strided(input.data + offset, strides, output);
}

// Where a slice starts or ends: counted from the end where negative, cut to the dimension.
int32_t bound(int64_t given, int32_t size) {
    const int64_t counted = given < 0 ? given + size : given;
    return static_cast<int32_t>(std::clamp<int64_t>(counted, 0, size));
}

void permuted(Arguments& arguments, const Operand& input, const int32_t* order, const Operand& output) {
    int32_t strides[kRank]{};
    arguments.require(input.rank == output.rank && input.type == output.type);
    for (int32_t i = 0; arguments.ok() && i < input.rank; ++i) {
        arguments.require(output.size[i] == input.size[order[i]]);
        strides[i] = input.stride[order[i]];
    }
    arguments.copy_strided(input.data, strides, output);
}

}  // namespace

// (input, size or dimensions ..., out): the elements in the model's order, under another shape
void view_copy(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand input = arguments.tensor(0);
    arguments.reshape(input, arguments.output());
}

// (input, ..., out): the same elements in the memory layout of the output
void copy_elements(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand input = arguments.tensor(0), output = arguments.output(input.type);
    arguments.require(same_sizes(input, output));
    arguments.copy_strided(input.data, {input.stride, kRank}, output);
}

// (input, dims, out): output dimension i is input dimension dims[i]
void permute_copy(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand input = arguments.tensor(0);
    const auto dims = arguments.integers(1);
    arguments.require(static_cast<int32_t>(dims.size()) == input.rank);
    int32_t order[kRank]{};
    for (int32_t i = 0; arguments.ok() && i < input.rank; ++i) {
        order[i] = arguments.axis(dims[i], input.rank);
    }
    permuted(arguments, input, order, arguments.output());
}

// (input, dim0, dim1, out): two dimensions change places
void transpose_copy(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand input = arguments.tensor(0);
    int32_t order[kRank] = {0, 1, 2, 3, 4, 5};
    const int32_t first = arguments.axis(arguments.integer(1), input.rank);
    std::swap(order[first], order[arguments.axis(arguments.integer(2), input.rank)]);
    permuted(arguments, input, order, arguments.output());
}

// (input, dim, start, end, step, out): every step-th entry of a dimension from start up to end
void slice_copy(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand input = arguments.tensor(0), output = arguments.output(input.type);
    const int32_t dimension = arguments.axis(arguments.integer(1), input.rank);
    const int32_t size = input.size[dimension];
    const int32_t start = arguments.is_none(2) ? 0 : bound(arguments.long_integer(2), size);
    const int32_t end = arguments.is_none(3) ? size : bound(arguments.long_integer(3), size);
    const int32_t step = arguments.integer(4);
    arguments.require(input.rank > 0 && input.rank == output.rank && step > 0);
    if (arguments.ok()) {
        arguments.require(output.size[dimension] == std::max<int32_t>(0, (end - start + step - 1) / step));
        copy_slice(arguments, input, dimension, start, step, output);
    }
}

// (input, dim, index, out): one entry of a dimension
void select_copy(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand input = arguments.tensor(0), output = arguments.output(input.type);
    const int32_t dimension = arguments.axis(arguments.integer(1), input.rank);
    const int32_t index = arguments.axis(arguments.integer(2), input.size[dimension]);
    arguments.require(input.rank > 0 && input.rank == output.rank + 1);
    int32_t strides[kRank]{};
    for (int32_t i = 0; arguments.ok() && i < output.rank; ++i) {
        const int32_t from = i < dimension ? i : i + 1;
        arguments.require(input.size[from] == output.size[i]);
        strides[i] = input.stride[from];
    }
    const std::ptrdiff_t offset = std::ptrdiff_t{index} * input.stride[dimension] * input.element_bytes;
    arguments.copy_strided(input.data + offset, strides, output);
}

// (input, size, implicit, out): sizes of 1 repeated
void expand_copy(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand input = arguments.tensor(0), output = arguments.output(input.type);
    int32_t strides[kRank]{};
    arguments.require(arguments.expanded(input, output, strides));
    arguments.copy_strided(input.data, strides, output);
}

// (inputs, dim, out): operands joined along a dimension
void cat(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand output = arguments.output();
    const int32_t dimension = arguments.axis(arguments.integer(1), output.rank);
    const size_t count = arguments.count(0);
    int32_t total = 0;
    for (size_t i = 0; i < count; ++i) {
        const Operand part = arguments.item(0, i);
        // An empty operand may have any shape.
        if (part.elements == 0) {
            continue;
        }
        arguments.require(part.rank == output.rank && part.type == output.type);
        for (int32_t d = 0; d < output.rank; ++d) {
            arguments.require(d == dimension || part.size[d] == output.size[d]);
        }
        total += part.size[dimension];
    }
    arguments.require(total == output.size[dimension]);
    // Everything inside the dimension lies together in the output's memory.
    const int32_t inner = arguments.ok() ? output.stride[dimension] * output.element_bytes : 0;
    const int32_t stride = inner * output.size[dimension];
    int32_t offset = 0;
    for (size_t i = 0; arguments.ok() && i < count; ++i) {
        const Operand part = arguments.item(0, i);
        if (part.elements == 0) {
            continue;
        }
        const std::byte* const data = arguments.ordered(part, {output.order, kRank});
        const int32_t bytes = part.size[dimension] * inner;
        if (arguments.ok()) {
            kernels::concat({.rows = part.elements * part.element_bytes / bytes,
                             .bytes = bytes,
                             .stride = stride,
                             .offset = offset},
                            data, output.data);
        }
        offset += bytes;
    }
}

}  // namespace mcu::et
