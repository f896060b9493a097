// The recurrent layers of mcu/kernels/recurrent.h but for what a core makes in its own way. `gates_of(x, h,
// gates)` makes all gates of a step; by four rows at a time it is gates_by_fours() below. Of a Core:
//
//   Core::Value                                           what x and h are: int8 or int16
//   Core::Weight                                          what a matrix of weights is an array of
//   Core::four_sums(values, count, weights, rows)         sums of four rows, or of the rows that are left,
//                                                         over `count` values; `weights` is moved behind them
//   Core::gates(...)                                      where a core has it: gates of up to four sums, of
//                                                         which both products are added, at a shift above 32
//   Core::lstm_units, gru_units, rnn_units                where a core has them: the functions below of that
//                                                         name, in its own way

#pragma once

#include "mcu/kernels/bits.h"
#include "mcu/kernels/recurrent.h"
#include "mcu/kernels/requantize.h"

namespace mcu::kernels::recurrent {

constexpr int32_t kGateBits = 12;
constexpr int32_t kFunctionBits = 15;
constexpr int32_t kCellBits = 11;
constexpr int32_t kLargest = (1 << 15) - 1;
// As in quantize.cpp: rounds a float of less than 2^22, half to even.
constexpr float kRound = 1.5F * (1 << 23);

template <typename Number>
Number rounding_shift(Number value, int32_t bits) {
    return bits == 0 ? value : (value + (Number{1} << (bits - 1))) >> bits;
}

template <typename Number>
int16_t saturated(Number value) {
    return static_cast<int16_t>(value < -kLargest - 1 ? -kLargest - 1
                                                      : (value > kLargest ? kLargest : value));
}

// The table at |value|, of which `bits` lie behind the point.
inline int32_t interpolated(int32_t value, const int16_t* table, int32_t bits) {
    const int32_t magnitude = value < 0 ? -value : value;
    const int32_t size = magnitude > kLargest ? kLargest : magnitude;
    const int16_t* const low = table + (size >> bits);
    return low[0] + rounding_shift((low[1] - low[0]) * (size & ((1 << bits) - 1)), bits);
}

inline int32_t tanh_of(int32_t value, const int16_t* table) {
    const int32_t size = interpolated(value, table, kGateBits - 5);
    return value < 0 ? -size : size;
}

inline int32_t sigmoid_of(int32_t value, const int16_t* table) {
    const int32_t half = (interpolated(value, table, kGateBits - 4) + 1) >> 1;
    return (1 << (kFunctionBits - 1)) + (value < 0 ? -half : half);
}

// A state in float in units of 2^-bits.
inline int16_t to_fixed(float value, int32_t bits) {
    const float scaled = value * static_cast<float>(1 << bits);
    // A NaN becomes the least number.
    const float above = scaled > -32768.0F ? scaled : -32768.0F;
    const float limited = above < 32767.0F ? above : 32767.0F;
    return static_cast<int16_t>(bit_cast<int32_t>(limited + kRound) - bit_cast<int32_t>(kRound));
}

template <typename Value>
Value to_output(const RecurrentParams& params, int32_t value) {
    constexpr int32_t most = (1 << (8 * sizeof(Value) - 1)) - 1;
    const int32_t moved = rounding_shift(value * params.output_multiplier, params.output_shift);
    return static_cast<Value>(clamp(moved + params.zero_point, -most - 1, most));
}

// Sums of four rows of weights, or of those that are left.
struct FourSums {
    int32_t of[4];
};

// Sums of products of one row of values and four of weights, in plain C++.
struct Dots {
    template <int R, int O>
    static void dots(const int16_t* const (&values)[R], const int8_t* const (&rows)[O], int32_t count,
                     int32_t (&sums)[R][O]) {
        static_assert(R == 1 && O == 4);
        for (int32_t i = 0; i < count; ++i) {
            const int32_t value = values[0][i];
            sums[0][0] += value * rows[0][i];
            sums[0][1] += value * rows[1][i];
            sums[0][2] += value * rows[2][i];
            sums[0][3] += value * rows[3][i];
        }
    }
};

// Sums of four rows of plain weights over values of int16, by Core::dots: the above, or ../mve/dots_s16.h.
template <typename Core>
FourSums four_rows(const int16_t* values, int32_t count, const int8_t*& weights, int32_t rows) {
    int32_t sums[1][4] = {};
    const int16_t* const from[1] = {values};
    // Of the last rows, those that are not there are the first of them once more.
    const int8_t* const filters[4] = {weights, rows > 1 ? weights + count : weights,
                                      rows > 2 ? weights + 2 * count : weights,
                                      rows > 3 ? weights + 3 * count : weights};
    Core::dots(from, filters, count, sums);
    weights += rows < 4 ? rows * count : 4 * count;
    return {{sums[0][0], sums[0][1], sums[0][2], sums[0][3]}};
}

// Rows in memory order, as Core reads them. A Core with kByVectors has gates, lstm_units, gru_units
// and rnn_units of its own, for several units at a time.
template <typename Core>
struct Weights {
    const typename Core::Weight* input;
    const typename Core::Weight* hidden;
    const int32_t* multipliers;
    const int32_t* biases;
    int32_t rows;
    int32_t split;  // rows from here on, of a GRU's n, keep what x and h make apart
};

// What sums of products become before their bias: (value + half) >> bits.
struct GateShift {
    int64_t half;
    int32_t bits;

    explicit GateShift(int32_t shift) : half(shift > 0 ? int64_t{1} << (shift - 1) : 0), bits(shift) {}
};

// The gate of a sum of less than 2^60: from 30 bits on, what is left fits in 32 bits, with a bias as well.
inline int16_t gate_of(int64_t sum, const GateShift& shift, int32_t bias) {
    const int64_t value = sum + shift.half;
    const auto high = static_cast<int32_t>(value >> 32);
    if (shift.bits >= 32) {
        return saturated((high >> (shift.bits - 32)) + bias);
    }
    if (shift.bits >= 30) {
        const uint32_t low = static_cast<uint32_t>(value) >> shift.bits;
        return saturated(static_cast<int32_t>(low | static_cast<uint32_t>(high) << (32 - shift.bits)) + bias);
    }
    return saturated((value >> shift.bits) + bias);
}

// All gates of a step; what h alone makes of rows from `split` on goes behind them.
template <typename Core>
void gates_by_fours(const RecurrentParams& params, const Weights<Core>& weights,
                    const typename Core::Value* x, const typename Core::Value* h, int16_t* gates) {
    const typename Core::Weight* of_x = weights.input;
    const typename Core::Weight* of_h = weights.hidden;
    const GateShift shift(params.shift);
    const int32_t rows = weights.rows, behind = rows - weights.split;
    const int32_t* multiplier = weights.multipliers;
    const int32_t* bias = weights.biases;
    int32_t before_split = weights.split;
    for (int32_t left = rows; left > 0; left -= 4) {
        const FourSums from_x = Core::four_sums(x, params.inputs, of_x, left);
        const FourSums from_h = Core::four_sums(h, params.units, of_h, left);
        const int32_t count = left < 4 ? left : 4;
        if constexpr (Core::kByVectors) {
            const bool are_added = before_split >= count;
            if (params.shift > 32 && (are_added || before_split <= 0)) {
                const FourSums none{};
                Core::gates(from_x, are_added ? from_h : none, multiplier, rows, params.shift, bias, gates,
                            count);
                if (!are_added) {
                    Core::gates(none, from_h, multiplier, rows, params.shift, bias + behind, gates + behind,
                                count);
                }
                before_split -= count, gates += count, bias += count, multiplier += count;
                continue;
            }
        }
        for (int32_t i = 0; i < count; ++i, --before_split) {
            const int64_t made = static_cast<int64_t>(from_x.of[i]) * multiplier[0];
            const int64_t kept = static_cast<int64_t>(from_h.of[i]) * multiplier[rows];
            if (before_split > 0) {
                *gates = gate_of(made + kept, shift, *bias);
            } else {
                gates[0] = gate_of(made, shift, bias[0]);
                gates[behind] = gate_of(kept, shift, bias[behind]);
            }
            ++gates, ++bias, ++multiplier;
        }
    }
}

template <typename Value>
void lstm_units(const RecurrentParams& params, const int16_t* gates, const int16_t* table, int16_t* cell,
                Value* output) {
    const int32_t units = params.units;
    for (int32_t u = 0; u < units; ++u) {
        const int32_t enter = sigmoid_of(gates[u], table), forget = sigmoid_of(gates[units + u], table);
        const int32_t update = tanh_of(gates[2 * units + u], table);
        const int32_t leave = sigmoid_of(gates[3 * units + u], table);
        const int32_t kept = rounding_shift(forget * cell[u], kFunctionBits);
        cell[u] = saturated(kept + rounding_shift(enter * update, 2 * kFunctionBits - kCellBits));
        const int32_t shown = leave * tanh_of(cell[u] * (1 << (kGateBits - kCellBits)), table);
        output[u] = to_output<Value>(params, rounding_shift(shown, kFunctionBits));
    }
}

template <typename Value>
void gru_units(const GruParams& params, const int16_t* gates, const int16_t* table, int16_t* state,
               Value* output) {
    const int32_t units = params.layer.units;
    for (int32_t u = 0; u < units; ++u) {
        const int32_t reset = sigmoid_of(gates[u], table), share = sigmoid_of(gates[units + u], table);
        const int32_t gated = rounding_shift(reset * gates[3 * units + u], kFunctionBits);
        const int32_t fresh = tanh_of(saturated(gates[2 * units + u] + gated), table);
        const int32_t update = rounding_shift(fresh, kFunctionBits - params.state_bits);
        const int32_t mixed = ((1 << kFunctionBits) - share) * update + share * state[u];
        state[u] = static_cast<int16_t>(rounding_shift(mixed, kFunctionBits));
        output[u] = to_output<Value>(params.layer, state[u]);
    }
}

template <typename Value>
void rnn_units(const RecurrentParams& params, const int16_t* gates, const int16_t* table, Value* output) {
    for (int32_t u = 0; u < params.units; ++u) {
        const int32_t shown = table != nullptr ? tanh_of(gates[u], table) : (gates[u] > 0 ? gates[u] : 0);
        output[u] = to_output<Value>(params, shown);
    }
}

// h before the first step, in `zeros` where there is none.
template <typename Value>
const Value* first_hidden(const RecurrentParams& params, const Value* hidden, int32_t batch, Value* zeros) {
    if (hidden != nullptr) {
        return hidden + batch * params.units;
    }
    for (int32_t u = 0; u < params.units; ++u) {
        zeros[u] = static_cast<Value>(params.zero_point);
    }
    return zeros;
}

// step(x, h, output) for every step of one element of the batch.
template <typename Value, typename Step>
void for_each_step(const RecurrentParams& params, int32_t batch, const Value* input, const Value* hidden,
                   Value* output, const Step& step) {
    for (int32_t t = 0; t < params.steps; ++t) {
        const int32_t row = t * params.strides.step + batch * params.strides.batch;
        Value* const written = output + row * params.units;
        step(input + row * params.inputs, hidden, written);
        hidden = written;
    }
}

template <typename Core, typename Gates, typename Value = typename Core::Value>
void lstm(const RecurrentParams& params, const Value* input, const Value* hidden, const float* cell,
          const Gates& gates_of, const int16_t* table, float* cell_output, Value* output, uint8_t* scratch) {
    const int32_t units = params.units;
    auto* const gates = reinterpret_cast<int16_t*>(scratch);
    int16_t* const state = gates + 4 * units;
    auto* const zeros = reinterpret_cast<Value*>(state + units);
    for (int32_t n = 0; n < params.batches; ++n) {
        for (int32_t u = 0; u < units; ++u) {
            state[u] = cell != nullptr ? to_fixed(cell[n * units + u], kCellBits) : int16_t{0};
        }
        const Value* const first = first_hidden(params, hidden, n, zeros);
        for_each_step(params, n, input, first, output, [&](const Value* x, const Value* h, Value* out) {
            gates_of(x, h, gates);
            if constexpr (Core::kByVectors) {
                Core::lstm_units(params, gates, table, state, out);
            } else {
                lstm_units(params, gates, table, state, out);
            }
        });
        for (int32_t u = 0; cell_output != nullptr && u < units; ++u) {
            cell_output[n * units + u] = static_cast<float>(state[u]) * (1.0F / (1 << kCellBits));
        }
    }
}

template <typename Core, typename Gates, typename Value = typename Core::Value>
void gru(const GruParams& params, const Value* input, const Value* hidden, const float* state,
         const Gates& gates_of, const int16_t* table, float* state_output, Value* output, uint8_t* scratch) {
    const RecurrentParams& layer = params.layer;
    const int32_t units = layer.units;
    auto* const gates = reinterpret_cast<int16_t*>(scratch);
    int16_t* const mixed = gates + 4 * units;
    auto* const shown = reinterpret_cast<Value*>(mixed + units);
    for (int32_t n = 0; n < layer.batches; ++n) {
        const Value* const first = first_hidden(layer, hidden, n, shown);
        for (int32_t u = 0; u < units; ++u) {
            if (state != nullptr) {
                mixed[u] = to_fixed(state[n * units + u], params.state_bits);
                shown[u] = to_output<Value>(layer, mixed[u]);
            } else {
                const int32_t steps = (first[u] - layer.zero_point) * params.state_multiplier;
                mixed[u] = saturated(rounding_shift(steps, params.state_shift));
            }
        }
        for_each_step(layer, n, input, first, output, [&](const Value* x, const Value* h, Value* out) {
            gates_of(x, h, gates);
            if constexpr (Core::kByVectors) {
                Core::gru_units(params, gates, table, mixed, out);
            } else {
                gru_units(params, gates, table, mixed, out);
            }
        });
        const float unit = 1.0F / static_cast<float>(1 << params.state_bits);
        for (int32_t u = 0; state_output != nullptr && u < units; ++u) {
            state_output[n * units + u] = static_cast<float>(mixed[u]) * unit;
        }
    }
}

template <typename Core, typename Gates, typename Value = typename Core::Value>
void rnn(const RecurrentParams& params, const Value* input, const Value* hidden, const Gates& gates_of,
         const int16_t* table, Value* output, uint8_t* scratch) {
    const int32_t units = params.units;
    auto* const gates = reinterpret_cast<int16_t*>(scratch);
    auto* const zeros = reinterpret_cast<Value*>(gates + units);
    for (int32_t n = 0; n < params.batches; ++n) {
        const Value* const first = first_hidden(params, hidden, n, zeros);
        for_each_step(params, n, input, first, output, [&](const Value* x, const Value* h, Value* out) {
            gates_of(x, h, gates);
            if constexpr (Core::kByVectors) {
                Core::rnn_units(params, gates, table, out);
            } else {
                rnn_units(params, gates, table, out);
            }
        });
    }
}

// The functions of recurrent.h by another core, four rows at a time: `name` completes their names.
#define MCU_RECURRENT_GATES(Core, params, rows, split)                                                       \
    const recurrent::Weights<Core> weights{input_weights, hidden_weights, multipliers, biases, rows, split}; \
    const auto gates_of = [&](const Core::Value* x, const Core::Value* h, int16_t* gates) {                  \
        recurrent::gates_by_fours(params, weights, x, h, gates);                                             \
    }
#define MCU_RECURRENT(name, Core)                                                                           \
    void name(lstm)(const RecurrentParams& params, const Core::Value* input, const Core::Value* hidden,     \
                    const float* cell, const Core::Weight* input_weights,                                   \
                    const Core::Weight* hidden_weights, const int32_t* multipliers, const int32_t* biases,  \
                    const int16_t* table, float* cell_output, Core::Value* output, uint8_t* scratch) {      \
        MCU_RECURRENT_GATES(Core, params, 4 * params.units, 4 * params.units);                              \
        recurrent::lstm<Core>(params, input, hidden, cell, gates_of, table, cell_output, output, scratch);  \
    }                                                                                                       \
    void name(gru)(const GruParams& params, const Core::Value* input, const Core::Value* hidden,            \
                   const float* state, const Core::Weight* input_weights,                                   \
                   const Core::Weight* hidden_weights, const int32_t* multipliers, const int32_t* biases,   \
                   const int16_t* table, float* state_output, Core::Value* output, uint8_t* scratch) {      \
        MCU_RECURRENT_GATES(Core, params.layer, 3 * params.layer.units, 2 * params.layer.units);            \
        recurrent::gru<Core>(params, input, hidden, state, gates_of, table, state_output, output, scratch); \
    }                                                                                                       \
    void name(rnn)(const RecurrentParams& params, const Core::Value* input, const Core::Value* hidden,      \
                   const Core::Weight* input_weights, const Core::Weight* hidden_weights,                   \
                   const int32_t* multipliers, const int32_t* biases, const int16_t* table,                 \
                   Core::Value* output, uint8_t* scratch) {                                                 \
        MCU_RECURRENT_GATES(Core, params, params.units, params.units);                                      \
        recurrent::rnn<Core>(params, input, hidden, gates_of, table, output, scratch);                      \
    }
#define MCU_RECURRENT_S8(layer) layer##_s8
#define MCU_RECURRENT_S16(layer) layer##_s16

}  // namespace mcu::kernels::recurrent
