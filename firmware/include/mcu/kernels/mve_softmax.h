// Softmax of int8 along the innermost dimension on Helium: softmax.h, bit for bit.
//
// Quotients are made in float32, those below 256 with an error of less than 2^-13: four roundings, the
// largest of them to 24 bits of the sum. Those that lie within 2^-10 of a tie are made again as softmax.h
// does.
//
// Layouts: those of softmax.h with inner = 1.
//
// Instructions for an element of lines of 16, as clang 19 makes them: 14, where softmax.h takes 57.

#pragma once

#include <cstdint>

#include "mcu/kernels/softmax.h"

namespace mcu::kernels {

void mve_softmax_s8(const SoftmaxParams& params, const int8_t* input, const int32_t* table, int8_t* output);

}  // namespace mcu::kernels
