// Recurrent layers of int8 with SMLAD: what recurrent.h computes, from packed weights.
//
// Rows of both matrices in fours, filled up with zeros: b, a, d, c as dsp_linear.h packs four outputs,
// without scales and numbers between them. A row's length is filled up to a multiple of four; the values'
// need not be.
//
// Exact. Inner loop: 67 instructions for 64 products.

#pragma once

#include <cstdint>

#include "mcu/kernels/recurrent.h"

namespace mcu::kernels {

void dsp_lstm_s8(const RecurrentParams& params, const int8_t* input, const int8_t* hidden, const float* cell,
                 const int32_t* input_weights, const int32_t* hidden_weights, const int32_t* multipliers,
                 const int32_t* biases, const int16_t* table, float* cell_output, int8_t* output,
                 uint8_t* scratch);
void dsp_gru_s8(const GruParams& params, const int8_t* input, const int8_t* hidden, const float* state,
                const int32_t* input_weights, const int32_t* hidden_weights, const int32_t* multipliers,
                const int32_t* biases, const int16_t* table, float* state_output, int8_t* output,
                uint8_t* scratch);
void dsp_rnn_s8(const RecurrentParams& params, const int8_t* input, const int8_t* hidden,
                const int32_t* input_weights, const int32_t* hidden_weights, const int32_t* multipliers,
                const int32_t* biases, const int16_t* table, int8_t* output, uint8_t* scratch);

}  // namespace mcu::kernels
