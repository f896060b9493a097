// Recurrent layers of int8, one layer in one direction, any number of steps: LSTM, GRU, RNN.
//
//   p    = ((x . input_weights) * multipliers[0] + (h . hidden_weights) * multipliers[1] >> shift) + biases
//   LSTM: c = f * c + i * g, h = o * tanh(c)             i, f, o = sigmoid(p), g = tanh(p)
//   GRU:  s = (1 - z) * n + z * s, h shows s             r, z = sigmoid(p), n = tanh(a + r * b)
//   RNN:  h = tanh(p), or max(p, 0) where there is no table
//
// Layouts: x [step][n][inputs] and h [step][n][units], or with step and n exchanged, as the strides say (in
// rows); weights [gates * units][inputs] and [gates * units][units], multipliers [2][gates * units], biases
// [gates * units], of a GRU [4 * units]: a is what x makes of n's gate, b with the last biases what h does.
// `hidden` is h before the first step, `cell` c in float, zeros where null; `cell_output` may be null. A
// GRU's `state` is s in float, of which h before the first step then is what is shown; `state_output` may be
// null. Scratch: 2 bytes a gate (of a GRU 8 a unit), then 3 a unit.
//
// Gates p have 16 bits, saturated, of which 12 are fraction (7 without a table), functions 15 bits behind the
// point, c 11, s state_bits. sigmoid(p) = 1/2 + tanh(p / 2) / 2; tanh is interpolated in a table of 257
// entries from 0 to 8. Zero points are a part of the biases. Exact, equal to mcu_build::lstm, gru and rnn
// (python/mcu_build/arithmetic/recurrent.py). Inner loop: a value is
// loaded once for four products.

#pragma once

#include <cstdint>

namespace mcu::kernels {

// Between neighbouring steps and elements of the batch, in rows of x and h.
struct RecurrentStrides {
    int32_t step;
    int32_t batch;
};

struct RecurrentParams {
    int32_t steps;
    int32_t batches;
    int32_t inputs;
    int32_t units;
    RecurrentStrides strides;
    int32_t shift;
    int32_t zero_point;
    int32_t output_multiplier;
    int32_t output_shift;
};

struct GruParams {
    RecurrentParams layer;
    int32_t state_bits;
    int32_t state_multiplier;
    int32_t state_shift;
};

void lstm_s8(const RecurrentParams& params, const int8_t* input, const int8_t* hidden, const float* cell,
             const int8_t* input_weights, const int8_t* hidden_weights, const int32_t* multipliers,
             const int32_t* biases, const int16_t* table, float* cell_output, int8_t* output,
             uint8_t* scratch);
void gru_s8(const GruParams& params, const int8_t* input, const int8_t* hidden, const float* state,
            const int8_t* input_weights, const int8_t* hidden_weights, const int32_t* multipliers,
            const int32_t* biases, const int16_t* table, float* state_output, int8_t* output,
            uint8_t* scratch);
void rnn_s8(const RecurrentParams& params, const int8_t* input, const int8_t* hidden,
            const int8_t* input_weights, const int8_t* hidden_weights, const int32_t* multipliers,
            const int32_t* biases, const int16_t* table, int8_t* output, uint8_t* scratch);

}  // namespace mcu::kernels
