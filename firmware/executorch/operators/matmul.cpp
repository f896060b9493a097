// cortex_m: linear layers and batched products.

#include "mcu/executorch/operators.h"
#include "mcu/kernels/batch_matmul.h"
#include "mcu/kernels/linear.h"

namespace mcu::et {

// (input, weights, bias, kernel_sum, input_offset, filter_offset, output_offset, multipliers, shifts, max,
// min, out): the output's order of the activation's ends is max, min. kernel_sum, where there is one, holds
// the bias and the input offset's share of the sums.
void quantized_linear(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand input = arguments.tensor(0, ScalarType::Char);
    const Operand weights = arguments.tensor(1, ScalarType::Char);
    const Operand sums = arguments.optional_tensor(3, ScalarType::Int);
    const Operand bias = sums.data != nullptr ? sums : arguments.optional_tensor(2, ScalarType::Int);
    const Operand output = arguments.output(ScalarType::Char);
    const auto multipliers = arguments.integers(7), shifts = arguments.integers(8);
    arguments.require(input.rank > 0 && weights.rank == 2 && output.rank == input.rank);
    arguments.require(!multipliers.empty() && !shifts.empty());
    if (!arguments.ok()) {
        return;
    }
    const kernels::LinearParams params{
        .rows = product(input.size, 0, input.rank - 1),
        .inputs = input.size[input.rank - 1],
        .outputs = weights.size[0],
        .input_offset = sums.data != nullptr ? 0 : arguments.integer(4),
        .filter_offset = arguments.integer(5),
        // The definition uses the first of each: one scale for the whole layer.
        .multiplier = static_cast<int32_t>(multipliers.front()),
        .shift = static_cast<int32_t>(shifts.front()),
        .stage = arguments.stage(6, 10, 9),
    };
    arguments.require(weights.size[1] == params.inputs && output.elements == params.rows * params.outputs);
    arguments.require(bias.data == nullptr || bias.elements == params.outputs);
    const auto* const source = arguments.contiguous<int8_t>(input);
    const auto* const matrix = arguments.contiguous<int8_t>(weights);
    auto* const written = arguments.contiguous_output<int8_t>(output);
    if (arguments.ok()) {
        kernels::linear_s8(params, source, matrix, bias.as<const int32_t>(), written);
        arguments.finish_output(output, written);
    }
}

// (left, offset, right with its last two dimensions exchanged, offset, output zero point, multiplier, shift,
// scratch, out). The offsets are zero points with their sign changed.
void quantized_batch_matmul(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand left = arguments.tensor(0, ScalarType::Char);
    const Operand right = arguments.tensor(2, ScalarType::Char);
    const Operand output = arguments.output(ScalarType::Char);
    arguments.require(left.rank == 3 && right.rank == 3 && left.size[0] == right.size[0] &&
                      left.size[2] == right.size[2]);
    const kernels::BatchMatmulParams params{
        .batch = left.size[0],
        .rows = left.size[1],
        .columns = right.size[1],
        .inner = left.size[2],
        .left_offset = arguments.integer(1),
        .right_offset = arguments.integer(3),
        .multiplier = arguments.integer(5),
        .shift = arguments.integer(6),
        .stage = {.zero_point = arguments.integer(4), .activation_min = -128, .activation_max = 127},
    };
    arguments.require(output.rank == 3 && output.elements == params.batch * params.rows * params.columns);
    const auto* const first = arguments.contiguous<int8_t>(left);
    const auto* const second = arguments.contiguous<int8_t>(right);
    auto* const written = arguments.contiguous_output<int8_t>(output);
    if (arguments.ok()) {
        kernels::batch_matmul_s8(params, first, second, written);
        arguments.finish_output(output, written);
    }
}

}  // namespace mcu::et
