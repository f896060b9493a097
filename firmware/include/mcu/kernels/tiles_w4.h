// Layers of int8 activations and int4 weights in tiles of rows and outputs. A Core gives
//
//   Core::kRows, Core::kOutputs        the size of a tile; kRows is 1 or 2; kGroupedOutputs where there are
//                                      groups, which take more registers
//   Core::block(x, w, sums)            sums[r][o] += 16 * the products of a block of 32 inputs
//   Core::rest(x, w, count, sums)      likewise, of fewer
//   Core::Last<O>                      bias, rounding and bounds of outputs; Last here is for one after
//   another
//
// An int4 in the high half of a byte is sixteen times its value as int8: nothing is shifted down. Sums of a
// row of up to 65,536 inputs have room in 32 bits.

#pragma once

#include "mcu/kernels/linear_w4.h"

namespace mcu::kernels::tiles_w4 {

// Copies of all that does not change: stores of bytes may change whatever lies in memory.
struct Layer {
    LinearW4Params params;
    const uint8_t* weights;
    const uint8_t* factors;
    const int32_t* bias;
    const int32_t* multipliers;
    const int32_t* shifts;
    int32_t blocks;
    int32_t rest;
    int32_t row;

    Layer(const LinearW4Params& given, const uint8_t* weights, const uint8_t* factors, const int32_t* bias,
          const int32_t* multipliers, const int32_t* shifts)
        : params(given),
          weights(weights),
          factors(factors),
          bias(bias),
          multipliers(multipliers),
          shifts(shifts),
          blocks(given.inputs / kBlockW4),
          rest(given.inputs % kBlockW4),
          row(row_bytes_w4(given.inputs)) {}
};

// Bias, multiplier and shift of an output.
template <int O>
struct Last {
    int32_t bias[O];
    int32_t multipliers[O];
    int32_t shifts[O];

    Last(const Layer& layer, int32_t o) {
#pragma GCC unroll 4
        for (int k = 0; k < O; ++k) {
            bias[k] = layer.bias[o + k];
            multipliers[k] = layer.multipliers[o + k];
            shifts[k] = layer.shifts[o + k];
        }
    }

    inline void finish(const Layer& layer, const int32_t (&sums)[O], int8_t* output) const {
#pragma GCC unroll 4
        for (int k = 0; k < O; ++k) {
            output[k] = to_int8_w4(bias[k] + sums[k], multipliers[k], shifts[k], layer.params);
        }
    }
};

// Core::rest, one multiply-accumulate at a time.
template <int R, int O>
inline __attribute__((always_inline)) void rest(const int8_t* const (&x)[R], const uint8_t* const (&w)[O],
                                                int32_t count, int32_t (&sums)[R][O]) {
    const int32_t both = count / 2;
    const int32_t half = count - both;
#pragma GCC unroll 1
    for (int32_t k = 0; k < both; ++k) {
        for (int o = 0; o < O; ++o) {
            const auto low = static_cast<int8_t>(w[o][k] << 4);
            const auto high = static_cast<int8_t>(w[o][k] & 0xF0);
            for (int r = 0; r < R; ++r) {
                sums[r][o] += x[r][k] * low + x[r][half + k] * high;
            }
        }
    }
    for (int o = 0; o < O && both < half; ++o) {
        for (int r = 0; r < R; ++r) {
            sums[r][o] += x[r][both] * static_cast<int8_t>(w[o][both] << 4);
        }
    }
}

// Sums of a tile, sixteen times the products where there are no groups.
template <typename Core, bool kGrouped, int R, int O>
inline __attribute__((always_inline)) void sums_of(const Layer& layer, const int8_t* input,
                                                   const uint8_t* weights, const uint8_t* factors,
                                                   int32_t (&sums)[R][O]) {
    const int8_t* x[R];
    const uint8_t* w[O];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
        x[r] = input + r * layer.params.inputs;
#pragma GCC unroll 4
        for (int k = 0; k < O; ++k) {
            w[k] = weights + k * layer.row;
            sums[r][k] = 0;
        }
    }
    for (int32_t b = 0; b < layer.blocks; ++b) {
        if constexpr (kGrouped) {
            int32_t parts[R][O] = {};
            Core::template block<R, O>(x, w, parts);
#pragma GCC unroll 4
            for (int k = 0; k < O; ++k) {
                const int32_t factor = factors[k * layer.blocks + b];
#pragma GCC unroll 4
                for (int r = 0; r < R; ++r) {
                    sums[r][k] += (parts[r][k] >> 4) * factor;
                }
            }
        } else {
            Core::template block<R, O>(x, w, sums);
        }
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) {
            x[r] += kBlockW4;
        }
#pragma GCC unroll 4
        for (int k = 0; k < O; ++k) {
            w[k] += kBlockW4 / 2;
        }
    }
    if constexpr (!kGrouped) {
        if (layer.rest != 0) {
            Core::template rest<R, O>(x, w, layer.rest, sums);
        }
    }
}

// Outputs `o` to `o + O` of all rows.
template <typename Core, bool kGrouped, int O>
inline __attribute__((always_inline)) void columns(const Layer& layer, const int8_t* input, int32_t o,
                                                   int8_t* output) {
    const typename Core::template Last<O> last(layer, o);
    const uint8_t* const weights = layer.weights + o * layer.row;
    const uint8_t* const factors = layer.factors + o * layer.blocks;
    int32_t r = 0;
    for (; r + Core::kRows <= layer.params.rows; r += Core::kRows) {
        int32_t sums[Core::kRows][O];
        sums_of<Core, kGrouped, Core::kRows, O>(layer, input, weights, factors, sums);
#pragma GCC unroll 4
        for (int k = 0; k < Core::kRows; ++k, input += layer.params.inputs, output += layer.params.outputs) {
            last.finish(layer, sums[k], output);
        }
    }
    if (Core::kRows > 1 && r < layer.params.rows) {
        int32_t sums[1][O];
        sums_of<Core, kGrouped, 1, O>(layer, input, weights, factors, sums);
        last.finish(layer, sums[0], output);
    }
}

template <typename Core, bool kGrouped>
void linear(const Layer layer, const int8_t* input, int8_t* output) {
    constexpr int kOutputs = kGrouped ? Core::kGroupedOutputs : Core::kOutputs;
    int32_t o = 0;
    for (; o + kOutputs <= layer.params.outputs; o += kOutputs) {
        columns<Core, kGrouped, kOutputs>(layer, input, o, output + o);
    }
    if constexpr (kOutputs > 1) {
        for (; o < layer.params.outputs; ++o) {
            columns<Core, kGrouped, 1>(layer, input, o, output + o);
        }
    }
}

}  // namespace mcu::kernels::tiles_w4

// The kernel of a core.
#define MCU_TILES_W4(Core)                                                                    \
    void linear_w4(const LinearW4Params& params, const int8_t* input, const uint8_t* weights, \
                   const uint8_t* factors, const int32_t* bias, const int32_t* multipliers,   \
                   const int32_t* shifts, int8_t* output) {                                   \
        const tiles_w4::Layer layer(params, weights, factors, bias, multipliers, shifts);     \
        const auto kernel =                                                                   \
            params.is_grouped ? tiles_w4::linear<Core, true> : tiles_w4::linear<Core, false>; \
        kernel(layer, input, output);                                                         \
    }
