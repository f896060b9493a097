// linear.h and conv2d.h whose weights are numbers of entries in tables of 16, two a byte.
//
//   weights[o][i] = table[16 * (o or 0) + (codes[o][i / 2] >> 4 * (i % 2)) & 15]
//
// conv2d_codes has a table for each output, linear_codes one for all, and no filter offset. A row of codes
// has (weights of an output + 1) / 2 bytes. Everything else, and what is exact, as in linear.h and conv2d.h.
// `decoded` holds the weights of an output, one byte each up to a multiple of 16: they are looked up once for
// all pixels. So the output is not written in the order of the input.

#pragma once

#include "mcu/kernels/conv2d.h"
#include "mcu/kernels/linear.h"

namespace mcu::kernels {

void linear_codes_s8(const LinearParams& params, const int8_t* input, const uint8_t* codes,
                     const int8_t* table, const int32_t* bias, int8_t* output, uint8_t* decoded);

void conv2d_codes_s8(const Conv2dParams& params, const int8_t* input, const uint8_t* codes,
                     const int8_t* tables, const int32_t* bias, const int32_t* multipliers,
                     const int32_t* shifts, int8_t* output, uint8_t* decoded);

}  // namespace mcu::kernels
