// Recurrent layers of int8 and int16 on Helium: recurrent.h and recurrent_s16.h from packed weights, by the
// sums of mve_linear.h's row_tiles (../../../kernels/mve/eight_sums.h).
//
// Layouts: those of recurrent.h, but `packed`, which has in place of weights, multipliers and biases for each
// tile of eight rows
//
//   of x, then of h  weights [vectors][8][16], of int16 [vectors][8][8], of rows 0, 2, 4, 6, 1, 3, 5, 7
//   of rows 0, 2, 4, 6, then of 1, 3, 5, 7
//                    multipliers of x, those of h, biases: int32[4] each
//
// zeros for absent rows and values. A GRU has tiles of r and z, then of what x makes of n, without weights of
// h, then of what h makes of it, without weights of x. A sum times 2^(33 - shift) stays within 32 bits where
// the shift is below 33. Exact. 19 instructions for 128 products of int8 or 64 of int16, 56 more for eight
// gates.

#pragma once

#include "mcu/kernels/recurrent.h"

namespace mcu::kernels {

void mve_lstm_s8(const RecurrentParams& params, const int8_t* input, const int8_t* hidden, const float* cell,
                 const int8_t* packed, const int16_t* table, float* cell_output, int8_t* output,
                 uint8_t* scratch);
void mve_gru_s8(const GruParams& params, const int8_t* input, const int8_t* hidden, const float* state,
                const int8_t* packed, const int16_t* table, float* state_output, int8_t* output,
                uint8_t* scratch);
void mve_rnn_s8(const RecurrentParams& params, const int8_t* input, const int8_t* hidden,
                const int8_t* packed, const int16_t* table, int8_t* output, uint8_t* scratch);

void mve_lstm_s16(const RecurrentParams& params, const int16_t* input, const int16_t* hidden,
                  const float* cell, const int8_t* packed, const int16_t* table, float* cell_output,
                  int16_t* output, uint8_t* scratch);
void mve_gru_s16(const GruParams& params, const int16_t* input, const int16_t* hidden, const float* state,
                 const int8_t* packed, const int16_t* table, float* state_output, int16_t* output,
                 uint8_t* scratch);
void mve_rnn_s16(const RecurrentParams& params, const int16_t* input, const int16_t* hidden,
                 const int8_t* packed, const int16_t* table, int16_t* output, uint8_t* scratch);

}  // namespace mcu::kernels
