// aten: normalization of floats.

#include "mcu/executorch/operators.h"
#include "mcu/kernels/norm_f32.h"

namespace mcu::et {

// (input, normalized_shape, weight, bias, eps, out, mean, rstd, result). The statistics are not written:
// programs that read them are refused when they are made.
void native_layer_norm(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand input = arguments.tensor(0, ScalarType::Float),
                  output = arguments.tensor(5, ScalarType::Float);
    const Operand weight = arguments.optional_tensor(2, ScalarType::Float);
    const Operand bias = arguments.optional_tensor(3, ScalarType::Float);
    int32_t size = 1;
    for (const int64_t length : arguments.integers(1)) {
        size *= static_cast<int32_t>(length);
    }
    arguments.require(same_sizes(input, output) && size > 0 && output.elements % (size > 0 ? size : 1) == 0);
    arguments.require(weight.data == nullptr || weight.elements == size);
    arguments.require(bias.data == nullptr || bias.elements == size);
    const kernels::LayerNormParams params{
        .rows = arguments.ok() ? output.elements / size : 0,
        .size = size,
        .epsilon = static_cast<float>(arguments.real(4)),
    };
    const auto* const source = arguments.contiguous<float>(input);
    auto* const written = arguments.contiguous_output<float>(output);
    if (arguments.ok()) {
        kernels::layer_norm_f32(params, source, weight.as<const float>(), bias.as<const float>(), written);
        arguments.finish_output(output, written);
    }
}

}  // namespace mcu::et
