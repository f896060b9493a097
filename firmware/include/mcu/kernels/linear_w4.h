// Fully connected layer, or convolution of 1x1, of int8 activations and int4 weights.
//
//   sum          = bias[o] + sum over blocks b of f * sum over i in b of input[r][i] * weights[o][i]
//   output[r][o] = clamp(rounded(sum, multipliers[o], shifts[o]) + zero_point, low, high)
//
// Blocks have 32 inputs, the last one what is left. f is factors[o][b] where is_grouped (there is no rest
// then), else 16. Layouts: input [rows][inputs], output [rows][outputs], weights [outputs][bytes of a row];
// byte k of a block of n has weight k in its low half and weight k + (n + 1) / 2 in its high half. Exact
// (round_s16.h), equal to mcu_build::linear_w4. Portable: one multiply-accumulate at a time.

#pragma once

#include "mcu/kernels/round_s16.h"

namespace mcu::kernels {

struct LinearW4Params {
    int32_t rows;
    int32_t inputs;
    int32_t outputs;
    bool is_grouped;
    int32_t zero_point;
    BoundsS16 bounds;
};

constexpr int32_t kBlockW4 = 32;

// Shifts are from 33 on: only the high half of the product counts.
inline int8_t to_int8_w4(int32_t sum, int32_t multiplier, int32_t shift, const LinearW4Params& params) {
    const auto high = static_cast<int32_t>((static_cast<int64_t>(sum) * multiplier) >> 32);
    const int32_t value = ((high + (1 << (shift - 33))) >> (shift - 32)) + params.zero_point;
    return static_cast<int8_t>(value < params.bounds.low
                                   ? params.bounds.low
                                   : (value > params.bounds.high ? params.bounds.high : value));
}

void linear_w4(const LinearW4Params& params, const int8_t* input, const uint8_t* weights,
               const uint8_t* factors, const int32_t* bias, const int32_t* multipliers, const int32_t* shifts,
               int8_t* output);

}  // namespace mcu::kernels
