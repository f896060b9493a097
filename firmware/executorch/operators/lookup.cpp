// aten: rows of a table at given positions.

#include "mcu/executorch/operators.h"
#include "mcu/kernels/gather.h"

namespace mcu::et {

// (weight, indices, padding_idx, scale_grad_by_freq, sparse, out): a row of the weight for each index
void embedding(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand weight = arguments.tensor(0), output = arguments.output(weight.type);
    const Operand index = arguments.tensor(1, ScalarType::Long);
    arguments.require(weight.rank == 2 && output.elements == index.elements * weight.size[1]);
    const auto* const table = arguments.contiguous<std::byte>(weight);
    const auto* const positions = arguments.contiguous<int64_t>(index);
    auto* const written = arguments.contiguous_output<std::byte>(output);
    if (arguments.ok()) {
        kernels::take({.outer = 1,
                       .size = weight.size[0],
                       .count = index.elements,
                       .block_bytes = weight.size[1] * weight.element_bytes},
                      table, positions, written);
        arguments.finish_output(output, written);
    }
}

}  // namespace mcu::et
