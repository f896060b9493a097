// Recurrent layers of recurrent.h with x, h and the first h of int16.
//
// All else is the same: weights of int8, gates, functions and states of 16 bits. Zero points are 0. No sum of
// products over a row leaves 32 bits: the weights of each are small enough. Scratch: 2 bytes a gate (of a GRU
// 8 a unit), then 4 a unit. Exact, equal to mcu_build::lstm, gru and rnn (arithmetic/recurrent.py).

#pragma once

#include "mcu/kernels/recurrent.h"

namespace mcu::kernels {

void lstm_s16(const RecurrentParams& params, const int16_t* input, const int16_t* hidden, const float* cell,
              const int8_t* input_weights, const int8_t* hidden_weights, const int32_t* multipliers,
              const int32_t* biases, const int16_t* table, float* cell_output, int16_t* output,
              uint8_t* scratch);
void gru_s16(const GruParams& params, const int16_t* input, const int16_t* hidden, const float* state,
             const int8_t* input_weights, const int8_t* hidden_weights, const int32_t* multipliers,
             const int32_t* biases, const int16_t* table, float* state_output, int16_t* output,
             uint8_t* scratch);
void rnn_s16(const RecurrentParams& params, const int16_t* input, const int16_t* hidden,
             const int8_t* input_weights, const int8_t* hidden_weights, const int32_t* multipliers,
             const int32_t* biases, const int16_t* table, int16_t* output, uint8_t* scratch);

}  // namespace mcu::kernels
