// Softmax of int8 with one reciprocal a line: softmax.h, bit for bit.
//
// A quotient is the part's product with 2^63 / sum. That is off by less than 2^-28 of itself, and so the
// product's upper word by less than eight. Quotients that lie as near to a tie are made again as softmax.h
// does.
//
// Layouts: those of softmax.h with inner = 1.
//
// Instructions for an element of lines of 64, as clang 19 makes them: 30, where softmax.h takes 60.

#pragma once

#include <cstdint>

#include "mcu/kernels/softmax.h"

namespace mcu::kernels {

void dsp_softmax_s8(const SoftmaxParams& params, const int8_t* input, const int32_t* table, int8_t* output);

}  // namespace mcu::kernels
