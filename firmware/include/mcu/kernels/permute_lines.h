// The iteration of a permutation over matrices of its two inner dimensions, and what those are made of.
#pragma once

#include "mcu/kernels/permute.h"

namespace mcu::kernels {

// Elements along one dimension, and bytes from one to the next in the input and in the output.
struct Line {
    int32_t count;
    int32_t from;
    int32_t to;
};

// Calls move(outer, inner, in, out) for each matrix.
template <typename Move>
inline void for_each_matrix(const PermuteParams& params, const void* input, void* output, Move move) {
    const int32_t* const shape = params.shape;
    const int32_t* const strides = params.strides;
    const auto* const source = static_cast<const int8_t*>(input);
    auto* to = static_cast<int8_t*>(output);
    const Line inner = {shape[5], strides[5], params.element_bytes};
    const Line outer = {shape[4], strides[4], shape[5] * params.element_bytes};
    for (int32_t a = 0; a < shape[0]; ++a) {
        for (int32_t b = 0; b < shape[1]; ++b) {
            for (int32_t c = 0; c < shape[2]; ++c) {
                for (int32_t d = 0; d < shape[3]; ++d) {
                    const int32_t offset = a * strides[0] + b * strides[1] + c * strides[2] + d * strides[3];
                    move(outer, inner, source + offset, to);
                    to += outer.count * outer.to;
                }
            }
        }
    }
}

}  // namespace mcu::kernels
