// An int4 in the high half of a byte is sixteen times its value as int8: nothing is shifted down. Two rows at
// once, for which weights are taken apart once.

#include "mcu/kernels/linear_w4.h"

namespace mcu::kernels {
namespace {

// Adds sixteen times the products of a block of `count` inputs.
template <int R>
inline void add(const int8_t* x, int32_t inputs, const uint8_t* w, int32_t count, int32_t (&sums)[R]) {
    const int32_t both = count / 2;
    const int32_t half = count - both;
    for (int32_t k = 0; k < half; ++k) {
        const auto low = static_cast<int8_t>(w[k] << 4);
        const auto high = static_cast<int8_t>(w[k] & 0xF0);
        for (int r = 0; r < R; ++r) {
            sums[r] += x[r * inputs + k] * low + (k < both ? x[r * inputs + half + k] * high : 0);
        }
    }
}

template <int R>
void rows(const LinearW4Params& params, const int8_t* input, const uint8_t* weights, const uint8_t* factors,
          const int32_t* bias, const int32_t* multipliers, const int32_t* shifts, int8_t* output) {
    const int32_t inputs = params.inputs;
    for (int32_t o = 0; o < params.outputs; ++o) {
        int32_t sums[R] = {};
        for (int32_t at = 0; at < inputs; at += kBlockW4) {
            const int32_t count = inputs - at < kBlockW4 ? inputs - at : kBlockW4;
            int32_t parts[R] = {};
            add<R>(input + at, inputs, weights, count, parts);
            weights += (count + 1) / 2;
            const int32_t factor = params.is_grouped ? *factors++ : 16;
            for (int r = 0; r < R; ++r) {
                sums[r] += (parts[r] >> 4) * factor;
            }
        }
        for (int r = 0; r < R; ++r) {
            output[r * params.outputs + o] = to_int8_w4(bias[o] + sums[r], multipliers[o], shifts[o], params);
        }
    }
}

}  // namespace

void linear_w4(const LinearW4Params& params, const int8_t* input, const uint8_t* weights,
               const uint8_t* factors, const int32_t* bias, const int32_t* multipliers, const int32_t* shifts,
               int8_t* output) {
    int32_t left = params.rows;
    for (; left > 1; left -= 2, input += 2 * params.inputs, output += 2 * params.outputs) {
        rows<2>(params, input, weights, factors, bias, multipliers, shifts, output);
    }
    if (left > 0) {
        rows<1>(params, input, weights, factors, bias, multipliers, shifts, output);
    }
}

}  // namespace mcu::kernels
