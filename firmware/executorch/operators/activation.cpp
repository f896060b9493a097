// cortex_m: functions of one value by table, and softmax.

#include <cmath>

#include "mcu/executorch/operators.h"
#include "mcu/kernels/lookup.h"
#include "mcu/kernels/softmax.h"

namespace mcu::et {
namespace {

// softmax: multiplier and shift hold the input's scale times 2^26 (of 31 bits, 5 are integer).
constexpr int kSoftmaxFractionBits = 26;
constexpr int32_t kDifferences = 256;

}  // namespace

// (input, table, out): output = table[input + 128]
void quantized_activation(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand output = arguments.output(ScalarType::Char);
    const Operand table = arguments.tensor(1, ScalarType::Char);
    arguments.require(table.elements == kDifferences);
    const auto* const source =
        reinterpret_cast<const int8_t*>(arguments.ordered_as(arguments.tensor(0, ScalarType::Char), output));
    if (arguments.ok()) {
        kernels::lookup_s8({.count = output.elements}, source, table.as<const int8_t>(), output.as<int8_t>());
    }
}

// (input, dim, input_zero_point, output_zero_point, input_multiplier, input_shift, diff_min, out)
//
// The table of exponentials, which the static runtime keeps in flash, is made anew at every call: 256
// exponentials in double.
void softmax(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand output = arguments.output(ScalarType::Char);
    const auto* const source =
        reinterpret_cast<const int8_t*>(arguments.ordered_as(arguments.tensor(0, ScalarType::Char), output));
    const int32_t dimension = arguments.axis(arguments.integer(1), output.rank);
    const double scale = std::ldexp(static_cast<double>(arguments.integer(4)),
                                    arguments.integer(5) - 31 - kSoftmaxFractionBits);
    const int32_t zero_point = arguments.integer(3);
    auto* const table = static_cast<int32_t*>(arguments.temporary(kDifferences * sizeof(int32_t)));
    arguments.require(scale > 0 && output.rank > 0);
    if (!arguments.ok()) {
        return;
    }
    for (int32_t d = 0; d < kDifferences; ++d) {
        const double entry = std::exp(-d * scale) * 2147483648.0;
        table[d] = static_cast<int32_t>(static_cast<uint32_t>(std::rint(entry)));
    }
    const int32_t inner = output.stride[dimension], axis = output.size[dimension];
    kernels::softmax_s8(
        {.outer = output.elements / (axis * inner), .axis = axis, .inner = inner, .zero_point = zero_point},
        source, table, output.as<int8_t>());
}

}  // namespace mcu::et
