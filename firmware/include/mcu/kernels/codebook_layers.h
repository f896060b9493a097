// The layers of codebook.h. A Core gives
//
//   Core::decode(codes, table, count, decoded)     weights 0 to count - 1 of a row of codes
//   Core::dot(input, weights, count, input_offset) sum of (input[i] + input_offset) * weights[i]

#pragma once

#include "mcu/kernels/codebook.h"
#include "mcu/kernels/windows.h"

namespace mcu::kernels::codebook {

constexpr int32_t kEntries = 16;

// One weight after the other.
inline void decode(const uint8_t* codes, const int8_t* table, int32_t count, int8_t* decoded) {
    for (uint32_t i = 0; i < static_cast<uint32_t>(count); ++i) {
        decoded[i] = table[codes[i >> 1] >> (i << 2 & 4) & (kEntries - 1)];
    }
}

template <typename Core>
void linear(const LinearParams& params, const int8_t* input, const uint8_t* codes, const int8_t* table,
            const int32_t* bias, int8_t* output, int8_t* decoded) {
    const int32_t inputs = params.inputs;
    for (int32_t o = 0; o < params.outputs; ++o) {
        Core::decode(codes + o * ((inputs + 1) / 2), table, inputs, decoded);
        for (int32_t r = 0; r < params.rows; ++r) {
            const int32_t sum = Core::dot(input + r * inputs, decoded, inputs, params.input_offset);
            output[r * params.outputs + o] = to_int8(sum + (bias != nullptr ? bias[o] : 0), params.multiplier,
                                                     params.shift, params.epilogue);
        }
    }
}

template <typename Core>
void conv2d(const Conv2dParams& params, const int8_t* input, const uint8_t* codes, const int8_t* tables,
            const int32_t* bias, const int32_t* multipliers, const int32_t* shifts, int8_t* output,
            int8_t* decoded) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const int32_t outputs = params.output.channels;
    const int32_t depth = channels / params.groups;
    const int32_t filter = window.size.y * window.size.x * depth;
    for (int32_t o = 0; o < outputs; ++o) {
        Core::decode(codes + o * ((filter + 1) / 2), tables + o * kEntries, filter, decoded);
        const int8_t* const group = input + o / (outputs / params.groups) * depth;
        int8_t* out = output + o;
        for_each_window(params, [&](int32_t n, Pair corner) {
            const int8_t* const image = group + n * pixels(params.input) * channels;
            int32_t sum = bias != nullptr ? bias[o] : 0;
            for_each_tap(window, params.input, corner, [&](int32_t pixel, int32_t tap) {
                sum += Core::dot(image + pixel * channels, decoded + tap * depth, depth, params.input_offset);
            });
            *out = to_int8(sum, multipliers[o], shifts[o], params.epilogue);
            out += outputs;
        });
    }
}

}  // namespace mcu::kernels::codebook

// The kernels of a core.
#define MCU_CODEBOOK(Core)                                                                             \
    void linear_codes_s8(const LinearParams& params, const int8_t* input, const uint8_t* codes,        \
                         const int8_t* table, const int32_t* bias, int8_t* output, uint8_t* decoded) { \
        codebook::linear<Core>(params, input, codes, table, bias, output,                              \
                               reinterpret_cast<int8_t*>(decoded));                                    \
    }                                                                                                  \
    void conv2d_codes_s8(const Conv2dParams& params, const int8_t* input, const uint8_t* codes,        \
                         const int8_t* tables, const int32_t* bias, const int32_t* multipliers,        \
                         const int32_t* shifts, int8_t* output, uint8_t* decoded) {                    \
        codebook::conv2d<Core>(params, input, codes, tables, bias, multipliers, shifts, output,        \
                               reinterpret_cast<int8_t*>(decoded));                                    \
    }
