// mcu_build: recurrent layers, LSTM, GRU and RNN.

#include "mcu/kernels/recurrent.h"

#include "mcu/executorch/operators.h"

namespace mcu::et {
namespace {

constexpr int32_t kTableEntries = 257;

// The tensors that all of them have, and the parameters; `output` is the sequence of h.
struct Layer {
    const int8_t* input;
    const int8_t* hidden;
    Operand input_weights, hidden_weights, multipliers, biases, table;
    kernels::RecurrentParams params;
    // 2 bytes a gate, then 3 a unit.
    uint8_t* scratch;
};

// Weights are arguments from `first` on, `gates` and `biases` their numbers for each unit.
Layer layer(Arguments& arguments, const Operand& output, size_t first, int32_t gates, int32_t biases) {
    const Operand input = arguments.tensor(0, ScalarType::Char);
    const Operand hidden = arguments.optional_tensor(1, ScalarType::Char);
    const bool batch_first = arguments.integer(first + 5) != 0;
    const int32_t inputs = input.size[2], units = output.size[2], rows = gates * units;
    const int32_t steps = output.size[batch_first ? 1 : 0], batches = output.size[batch_first ? 0 : 1];
    Layer found{
        .input = arguments.contiguous<int8_t>(input),
        .hidden = hidden.data == nullptr ? nullptr : arguments.contiguous<int8_t>(hidden),
        .input_weights = arguments.tensor(first, ScalarType::Char),
        .hidden_weights = arguments.tensor(first + 1, ScalarType::Char),
        .multipliers = arguments.tensor(first + 2, ScalarType::Int),
        .biases = arguments.tensor(first + 3, ScalarType::Int),
        .table = arguments.optional_tensor(first + 4, ScalarType::Short),
        .params = {.steps = steps,
                   .batches = batches,
                   .inputs = inputs,
                   .units = units,
                   .strides = batch_first ? kernels::RecurrentStrides{1, steps}
                                          : kernels::RecurrentStrides{batches, 1},
                   .shift = arguments.integer(first + 6),
                   .zero_point = arguments.integer(first + 7),
                   .output_multiplier = arguments.integer(first + 8),
                   .output_shift = arguments.integer(first + 9)},
        .scratch = static_cast<uint8_t*>(arguments.temporary(static_cast<size_t>(2 * biases + 3) * units)),
    };
    arguments.require(input.rank == 3 && output.rank == 3 && input.size[0] == output.size[0] &&
                      input.size[1] == output.size[1]);
    arguments.require(hidden.data == nullptr || hidden.elements == batches * units);
    arguments.require(found.input_weights.elements == rows * inputs &&
                      found.hidden_weights.elements == rows * units);
    arguments.require(found.multipliers.elements == 2 * rows && found.biases.elements == biases * units);
    arguments.require(found.table.data == nullptr || found.table.elements == kTableEntries);
    arguments.require(found.params.shift >= 1 && found.params.shift <= 61 && found.params.output_shift >= 1 &&
                      found.params.output_shift <= 30);
    return found;
}

}  // namespace

// (input, hidden, cell, input_weights, hidden_weights, multipliers, biases, table, batch_first, shift,
// zero_point, output_multiplier, output_shift, out, cell_out, result)
void lstm(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand output = arguments.tensor(13, ScalarType::Char);
    const Operand cell_output = arguments.tensor(14, ScalarType::Float);
    const Operand cell = arguments.optional_tensor(2, ScalarType::Float);
    const Layer given = layer(arguments, output, 3, 4, 4);
    const int32_t states = given.params.batches * given.params.units;
    arguments.require(cell_output.elements == states && (cell.data == nullptr || cell.elements == states));
    arguments.require(given.table.data != nullptr);
    const auto* const first = cell.data == nullptr ? nullptr : arguments.contiguous<float>(cell);
    auto* const written = arguments.contiguous_output<int8_t>(output);
    auto* const cells = arguments.contiguous_output<float>(cell_output);
    if (arguments.ok()) {
        kernels::lstm_s8(given.params, given.input, given.hidden, first,
                         given.input_weights.as<const int8_t>(), given.hidden_weights.as<const int8_t>(),
                         given.multipliers.as<const int32_t>(), given.biases.as<const int32_t>(),
                         given.table.as<const int16_t>(), cells, written, given.scratch);
        arguments.finish_output(output, written);
        arguments.finish_output(cell_output, cells);
    }
}

// (input, hidden, state, input_weights, hidden_weights, multipliers, biases, table, batch_first, shift,
// zero_point, output_multiplier, output_shift, state_bits, state_multiplier, state_shift, out, state_out,
// result)
void gru(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand output = arguments.tensor(16, ScalarType::Char);
    const Operand state_output = arguments.tensor(17, ScalarType::Float);
    const Operand state = arguments.optional_tensor(2, ScalarType::Float);
    const Layer given = layer(arguments, output, 3, 3, 4);
    const kernels::GruParams params{.layer = given.params,
                                    .state_bits = arguments.integer(13),
                                    .state_multiplier = arguments.integer(14),
                                    .state_shift = arguments.integer(15)};
    const int32_t elements = given.params.batches * given.params.units;
    arguments.require(state_output.elements == elements &&
                      (state.data == nullptr || state.elements == elements));
    arguments.require(given.table.data != nullptr && params.state_bits >= 1 && params.state_bits <= 15 &&
                      params.state_shift >= 1 && params.state_shift <= 30);
    const auto* const first = state.data == nullptr ? nullptr : arguments.contiguous<float>(state);
    auto* const written = arguments.contiguous_output<int8_t>(output);
    auto* const states = arguments.contiguous_output<float>(state_output);
    if (arguments.ok()) {
        kernels::gru_s8(params, given.input, given.hidden, first, given.input_weights.as<const int8_t>(),
                        given.hidden_weights.as<const int8_t>(), given.multipliers.as<const int32_t>(),
                        given.biases.as<const int32_t>(), given.table.as<const int16_t>(), states, written,
                        given.scratch);
        arguments.finish_output(output, written);
        arguments.finish_output(state_output, states);
    }
}

// (input, hidden, input_weights, hidden_weights, multipliers, biases, table, batch_first, shift, zero_point,
// output_multiplier, output_shift, out)
void rnn(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand output = arguments.output(ScalarType::Char);
    const Layer given = layer(arguments, output, 2, 1, 1);
    auto* const written = arguments.contiguous_output<int8_t>(output);
    if (arguments.ok()) {
        kernels::rnn_s8(given.params, given.input, given.hidden, given.input_weights.as<const int8_t>(),
                        given.hidden_weights.as<const int8_t>(), given.multipliers.as<const int32_t>(),
                        given.biases.as<const int32_t>(), given.table.as<const int16_t>(), written,
                        given.scratch);
        arguments.finish_output(output, written);
    }
}

}  // namespace mcu::et
