// cortex_m and quantized_decomposed: the boundary between float and integers.

#include "mcu/kernels/quantize.h"

#include "mcu/executorch/operators.h"

namespace mcu::et {

// (input, scale, zero_point, quant_min, quant_max, dtype, out)
void quantize_per_tensor(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand output = arguments.output();
    const bool narrow = output.type == ScalarType::Char;
    arguments.require(narrow || output.type == ScalarType::Short);
    const auto* const source =
        reinterpret_cast<const float*>(arguments.ordered_as(arguments.tensor(0, ScalarType::Float), output));
    const kernels::QuantizeParams params{
        .count = output.elements,
        // The definition multiplies with the reciprocal, taken in double and rounded to float.
        .inverse_scale = static_cast<float>(1.0 / arguments.real(1)),
        .zero_point = arguments.integer(2),
        .quant_min = arguments.integer(3),
        .quant_max = arguments.integer(4),
    };
    if (!arguments.ok()) {
        return;
    }
    if (narrow) {
        kernels::quantize_f32_s8(params, source, output.as<int8_t>());
    } else {
        kernels::quantize_f32_s16(params, source, output.as<int16_t>());
    }
}

// (input, scale, zero_point, quant_min, quant_max, dtype, out)
void dequantize_per_tensor(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand output = arguments.output(ScalarType::Float);
    const Operand input = arguments.tensor(0);
    const bool narrow = input.type == ScalarType::Char;
    arguments.require(narrow || input.type == ScalarType::Short);
    const std::byte* const source = arguments.ordered_as(input, output);
    const kernels::DequantizeParams params{
        .count = output.elements,
        .scale = static_cast<float>(arguments.real(1)),
        .zero_point = arguments.integer(2),
    };
    if (!arguments.ok()) {
        return;
    }
    if (narrow) {
        kernels::dequantize_s8_f32(params, reinterpret_cast<const int8_t*>(source), output.as<float>());
    } else {
        kernels::dequantize_s16_f32(params, reinterpret_cast<const int16_t*>(source), output.as<float>());
    }
}

}  // namespace mcu::et
