#include "mcu/kernels/recurrent.h"

#include "mcu/kernels/bits.h"
#include "mcu/kernels/requantize.h"

namespace mcu::kernels {
namespace {

constexpr int32_t kGateBits = 12;
constexpr int32_t kFunctionBits = 15;
constexpr int32_t kCellBits = 11;
constexpr int32_t kLargest = (1 << 15) - 1;
// As in quantize.cpp: rounds a float of less than 2^22, ties to even.
constexpr float kRound = 1.5F * (1 << 23);

template <typename Number>
Number rounding_shift(Number value, int32_t bits) {
    return bits == 0 ? value : (value + (Number{1} << (bits - 1))) >> bits;
}

int16_t saturated(int64_t value) {
    return static_cast<int16_t>(value < -kLargest - 1 ? -kLargest - 1
                                                      : (value > kLargest ? kLargest : value));
}

// The table at |value|, of which `bits` lie behind the point.
int32_t interpolated(int32_t value, const int16_t* table, int32_t bits) {
    const int32_t magnitude = value < 0 ? -value : value;
    const int32_t size = magnitude > kLargest ? kLargest : magnitude;
    const int16_t* const low = table + (size >> bits);
    return low[0] + rounding_shift((low[1] - low[0]) * (size & ((1 << bits) - 1)), bits);
}

int32_t tanh_of(int32_t value, const int16_t* table) {
    const int32_t size = interpolated(value, table, kGateBits - 5);
    return value < 0 ? -size : size;
}

int32_t sigmoid_of(int32_t value, const int16_t* table) {
    const int32_t half = (interpolated(value, table, kGateBits - 4) + 1) >> 1;
    return (1 << (kFunctionBits - 1)) + (value < 0 ? -half : half);
}

// A state in float in units of 2^-bits.
int16_t to_fixed(float value, int32_t bits) {
    const float scaled = value * static_cast<float>(1 << bits);
    // A NaN becomes the least number.
    const float above = scaled > -32768.0F ? scaled : -32768.0F;
    const float limited = above < 32767.0F ? above : 32767.0F;
    return static_cast<int16_t>(bit_cast<int32_t>(limited + kRound) - bit_cast<int32_t>(kRound));
}

int8_t to_output(const RecurrentParams& params, int32_t value) {
    const int32_t moved = rounding_shift(value * params.output_multiplier, params.output_shift);
    return static_cast<int8_t>(clamp(moved + params.zero_point, -128, 127));
}

int64_t product(const int8_t* values, const int8_t* weights, int32_t count, int32_t multiplier) {
    int32_t sum = 0;
    for (int32_t i = 0; i < count; ++i) {
        sum += values[i] * weights[i];
    }
    return static_cast<int64_t>(sum) * multiplier;
}

struct Weights {
    const int8_t* input;
    const int8_t* hidden;
    const int32_t* multipliers;
    const int32_t* biases;
    int32_t rows;
};

// The gates of rows [first, last) to `gates`, of what x makes and, unless null, of what h does.
void gates_of(const RecurrentParams& params, const Weights& weights, int32_t first, int32_t last,
              const int8_t* x, const int8_t* h, int16_t* gates) {
    const int32_t inputs = params.inputs, units = params.units, shift = params.shift;
    for (int32_t row = first; row < last; ++row) {
        int64_t sum = product(x, weights.input + row * inputs, inputs, weights.multipliers[row]);
        if (h != nullptr) {
            sum += product(h, weights.hidden + row * units, units, weights.multipliers[weights.rows + row]);
        }
        gates[row] = saturated(rounding_shift(sum, shift) + weights.biases[row]);
    }
}

// What h makes of a GRU's last gate, to a fourth one.
void hidden_gates_of(const RecurrentParams& params, const Weights& weights, const int8_t* h, int16_t* gates) {
    const int32_t units = params.units;
    for (int32_t row = 2 * units; row < 3 * units; ++row) {
        const int64_t sum =
            product(h, weights.hidden + row * units, units, weights.multipliers[weights.rows + row]);
        gates[units + row] = saturated(rounding_shift(sum, params.shift) + weights.biases[units + row]);
    }
}

void lstm_units(const RecurrentParams& params, const int16_t* gates, const int16_t* table, int16_t* cell,
                int8_t* output) {
    const int32_t units = params.units;
    for (int32_t u = 0; u < units; ++u) {
        const int32_t enter = sigmoid_of(gates[u], table), forget = sigmoid_of(gates[units + u], table);
        const int32_t update = tanh_of(gates[2 * units + u], table);
        const int32_t leave = sigmoid_of(gates[3 * units + u], table);
        const int32_t kept = rounding_shift(forget * cell[u], kFunctionBits);
        cell[u] = saturated(kept + rounding_shift(enter * update, 2 * kFunctionBits - kCellBits));
        const int32_t shown = leave * tanh_of(cell[u] * (1 << (kGateBits - kCellBits)), table);
        output[u] = to_output(params, rounding_shift(shown, kFunctionBits));
    }
}

void gru_units(const GruParams& params, const int16_t* gates, const int16_t* table, int16_t* state,
               int8_t* output) {
    const int32_t units = params.layer.units;
    for (int32_t u = 0; u < units; ++u) {
        const int32_t reset = sigmoid_of(gates[u], table), share = sigmoid_of(gates[units + u], table);
        const int32_t gated = rounding_shift(reset * gates[3 * units + u], kFunctionBits);
        const int32_t fresh = tanh_of(saturated(gates[2 * units + u] + gated), table);
        const int32_t update = rounding_shift(fresh, kFunctionBits - params.state_bits);
        const int32_t mixed = ((1 << kFunctionBits) - share) * update + share * state[u];
        state[u] = static_cast<int16_t>(rounding_shift(mixed, kFunctionBits));
        output[u] = to_output(params.layer, state[u]);
    }
}

void rnn_units(const RecurrentParams& params, const int16_t* gates, const int16_t* table, int8_t* output) {
    for (int32_t u = 0; u < params.units; ++u) {
        const int32_t shown = table != nullptr ? tanh_of(gates[u], table) : (gates[u] > 0 ? gates[u] : 0);
        output[u] = to_output(params, shown);
    }
}

// h before the first step, in `zeros` where there is none.
const int8_t* first_hidden(const RecurrentParams& params, const int8_t* hidden, int32_t batch,
                           int8_t* zeros) {
    if (hidden != nullptr) {
        return hidden + batch * params.units;
    }
    for (int32_t u = 0; u < params.units; ++u) {
        zeros[u] = static_cast<int8_t>(params.zero_point);
    }
    return zeros;
}

// step(x, h, output) for every step of one element of the batch.
template <typename Step>
void for_each_step(const RecurrentParams& params, int32_t batch, const int8_t* input, const int8_t* hidden,
                   int8_t* output, const Step& step) {
    for (int32_t t = 0; t < params.steps; ++t) {
        const int32_t row = t * params.strides.step + batch * params.strides.batch;
        int8_t* const written = output + row * params.units;
        step(input + row * params.inputs, hidden, written);
        hidden = written;
    }
}

}  // namespace

void lstm_s8(const RecurrentParams& params, const int8_t* input, const int8_t* hidden, const float* cell,
             const int8_t* input_weights, const int8_t* hidden_weights, const int32_t* multipliers,
             const int32_t* biases, const int16_t* table, float* cell_output, int8_t* output,
             uint8_t* scratch) {
    const int32_t units = params.units, rows = 4 * units;
    const Weights weights{input_weights, hidden_weights, multipliers, biases, rows};
    auto* const gates = reinterpret_cast<int16_t*>(scratch);
    int16_t* const state = gates + rows;
    auto* const zeros = reinterpret_cast<int8_t*>(state + units);
    for (int32_t n = 0; n < params.batches; ++n) {
        for (int32_t u = 0; u < units; ++u) {
            state[u] = cell != nullptr ? to_fixed(cell[n * units + u], kCellBits) : int16_t{0};
        }
        const int8_t* const first = first_hidden(params, hidden, n, zeros);
        for_each_step(params, n, input, first, output, [&](const int8_t* x, const int8_t* h, int8_t* out) {
            gates_of(params, weights, 0, rows, x, h, gates);
            lstm_units(params, gates, table, state, out);
        });
        for (int32_t u = 0; cell_output != nullptr && u < units; ++u) {
            cell_output[n * units + u] = static_cast<float>(state[u]) * (1.0F / (1 << kCellBits));
        }
    }
}

void gru_s8(const GruParams& params, const int8_t* input, const int8_t* hidden, const float* state,
            const int8_t* input_weights, const int8_t* hidden_weights, const int32_t* multipliers,
            const int32_t* biases, const int16_t* table, float* state_output, int8_t* output,
            uint8_t* scratch) {
    const RecurrentParams& layer = params.layer;
    const int32_t units = layer.units, rows = 3 * units;
    const Weights weights{input_weights, hidden_weights, multipliers, biases, rows};
    auto* const gates = reinterpret_cast<int16_t*>(scratch);
    int16_t* const mixed = gates + rows + units;
    auto* const shown = reinterpret_cast<int8_t*>(mixed + units);
    for (int32_t n = 0; n < layer.batches; ++n) {
        const int8_t* const first = first_hidden(layer, hidden, n, shown);
        for (int32_t u = 0; u < units; ++u) {
            if (state != nullptr) {
                mixed[u] = to_fixed(state[n * units + u], params.state_bits);
                shown[u] = to_output(layer, mixed[u]);
            } else {
                const int32_t steps = (first[u] - layer.zero_point) * params.state_multiplier;
                mixed[u] = saturated(rounding_shift(steps, params.state_shift));
            }
        }
        for_each_step(layer, n, input, first, output, [&](const int8_t* x, const int8_t* h, int8_t* out) {
            gates_of(layer, weights, 0, 2 * units, x, h, gates);
            gates_of(layer, weights, 2 * units, rows, x, nullptr, gates);
            hidden_gates_of(layer, weights, h, gates);
            gru_units(params, gates, table, mixed, out);
        });
        const float unit = 1.0F / static_cast<float>(1 << params.state_bits);
        for (int32_t u = 0; state_output != nullptr && u < units; ++u) {
            state_output[n * units + u] = static_cast<float>(mixed[u]) * unit;
        }
    }
}

void rnn_s8(const RecurrentParams& params, const int8_t* input, const int8_t* hidden,
            const int8_t* input_weights, const int8_t* hidden_weights, const int32_t* multipliers,
            const int32_t* biases, const int16_t* table, int8_t* output, uint8_t* scratch) {
    const int32_t units = params.units;
    const Weights weights{input_weights, hidden_weights, multipliers, biases, units};
    auto* const gates = reinterpret_cast<int16_t*>(scratch);
    auto* const zeros = reinterpret_cast<int8_t*>(gates + units);
    for (int32_t n = 0; n < params.batches; ++n) {
        const int8_t* const first = first_hidden(params, hidden, n, zeros);
        for_each_step(params, n, input, first, output, [&](const int8_t* x, const int8_t* h, int8_t* out) {
            gates_of(params, weights, 0, units, x, h, gates);
            rnn_units(params, gates, table, out);
        });
    }
}

}  // namespace mcu::kernels
