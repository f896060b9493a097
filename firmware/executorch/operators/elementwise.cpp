// cortex_m: operators over pairs of elements.

#include "mcu/executorch/operators.h"
#include "mcu/kernels/add.h"
#include "mcu/kernels/div.h"
#include "mcu/kernels/minmax.h"
#include "mcu/kernels/mul.h"

namespace mcu::et {
namespace {

struct Operands {
    Operand first;
    Operand second;
    Operand output;
    kernels::Broadcast walk;
};

// Argument 0 and argument `other`, both of the output's type.
Operands operands(Arguments& arguments, size_t other) {
    const Operand output = arguments.output();
    const Operand first = arguments.tensor(0, output.type), second = arguments.tensor(other, output.type);
    return {first, second, output, arguments.broadcast(first, second, output)};
}

kernels::AddOperand summand(Arguments& arguments, size_t index) {
    return {.zero_point = arguments.integer(index),
            .multiplier = arguments.integer(index + 1),
            .shift = arguments.integer(index + 2)};
}

template <typename Element>
using MinMax = void (*)(const kernels::MinMaxParams&, const Element*, const Element*, Element*);

template <typename Element>
void run(MinMax<Element> kernel, const Operands& found) {
    kernel({found.walk}, found.first.as<const Element>(), found.second.as<const Element>(),
           found.output.as<Element>());
}

void minmax(KernelRuntimeContext& context, Values values, MinMax<int8_t> s8, MinMax<int16_t> s16,
            MinMax<int32_t> s32, MinMax<float> f32) {
    Arguments arguments(context, values);
    const Operands found = operands(arguments, 1);
    if (!arguments.ok()) {
        return;
    }
    switch (found.output.type) {
        case ScalarType::Char:
            return run(s8, found);
        case ScalarType::Short:
            return run(s16, found);
        case ScalarType::Int:
            return run(s32, found);
        case ScalarType::Float:
            return run(f32, found);
        default:
            arguments.require(false);
    }
}

}  // namespace

// (self, zero_point, multiplier, shift, other, the same, the same of the output, min, max, out)
void quantized_add(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operands found = operands(arguments, 4);
    arguments.require(found.output.type == ScalarType::Char);
    const kernels::AddParams params{
        .walk = found.walk,
        .first = summand(arguments, 1),
        .second = summand(arguments, 5),
        .multiplier = arguments.integer(9),
        .shift = arguments.integer(10),
        .stage = arguments.stage(8, 11, 12),
    };
    if (arguments.ok()) {
        kernels::add_s8(params, found.first.as<const int8_t>(), found.second.as<const int8_t>(),
                        found.output.as<int8_t>());
    }
}

// (self, zero_point, other, zero_point, output zero_point, multiplier, shift, out)
void quantized_mul(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operands found = operands(arguments, 2);
    arguments.require(found.output.type == ScalarType::Char);
    const kernels::MulParams params{
        .walk = found.walk,
        .first_zero_point = arguments.integer(1),
        .second_zero_point = arguments.integer(3),
        .multiplier = arguments.integer(5),
        .shift = arguments.integer(6),
        .stage = {.zero_point = arguments.integer(4), .activation_min = -128, .activation_max = 127},
    };
    if (arguments.ok()) {
        kernels::mul_s8(params, found.first.as<const int8_t>(), found.second.as<const int8_t>(),
                        found.output.as<int8_t>());
    }
}

// (self, zero_point, other, zero_point, output zero_point, scale, out)
void quantized_div(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operands found = operands(arguments, 2);
    const bool narrow = found.output.type == ScalarType::Char;
    arguments.require(narrow || found.output.type == ScalarType::Short);
    const kernels::DivParams params{
        .walk = found.walk,
        .first_zero_point = arguments.integer(1),
        .second_zero_point = arguments.integer(3),
        .zero_point = arguments.integer(4),
        .scale = static_cast<float>(arguments.real(5)),
    };
    if (!arguments.ok()) {
        return;
    }
    if (narrow) {
        kernels::div_s8(params, found.first.as<const int8_t>(), found.second.as<const int8_t>(),
                        found.output.as<int8_t>());
    } else {
        kernels::div_s16(params, found.first.as<const int16_t>(), found.second.as<const int16_t>(),
                         found.output.as<int16_t>());
    }
}

// (self, other, out)
void minimum(KernelRuntimeContext& context, Values values) {
    minmax(context, values, kernels::minimum_s8, kernels::minimum_s16, kernels::minimum_s32,
           kernels::minimum_f32);
}

void maximum(KernelRuntimeContext& context, Values values) {
    minmax(context, values, kernels::maximum_s8, kernels::maximum_s16, kernels::maximum_s32,
           kernels::maximum_f32);
}

}  // namespace mcu::et
