// matmul_s16 by tiles of two rows and two columns, for cores that multiply several pairs at once. A Core
// gives
//
//   Core::dots<R, C>(left, right, inner, sums)
//       sums[r][c] += sum over i < inner of left[r * inner + i] * right[c * inner + i]

#pragma once

#include "mcu/kernels/matmul_s16.h"

namespace mcu::kernels::tiles {

template <typename Core, int R, int C>
inline void tile(const MatmulS16Params& params, const MatmulScaleS16& scale, const int16_t* left,
                 const int16_t* right, int16_t* output) {
    int64_t sums[R][C] = {};
    Core::dots(left, right, params.inner, sums);
    for (int r = 0; r < R; ++r) {
        for (int c = 0; c < C; ++c) {
            output[r * params.columns + c] = scale(sums[r][c]);
        }
    }
}

// Not inlined: the loops around it would take the registers of the innermost one.
template <typename Core, int R>
[[gnu::noinline]] void rows(const MatmulS16Params& params, const MatmulScaleS16& scale, const int16_t* left,
                            const int16_t* right, int16_t* output) {
    int32_t c = 0;
    for (; c + 2 <= params.columns; c += 2, right += 2 * params.inner) {
        tile<Core, R, 2>(params, scale, left, right, output + c);
    }
    if (c < params.columns) {
        tile<Core, R, 1>(params, scale, left, right, output + c);
    }
}

// `kRows` rows at a time, one or two.
template <typename Core, int kRows>
void matmul(const MatmulS16Params& params, const int16_t* left, const int16_t* right, int16_t* output) {
    const MatmulScaleS16 scale(params);
    for (int32_t b = 0; b < params.batch; ++b, right += params.columns * params.inner) {
        int32_t r = params.rows;
        for (; r >= kRows; r -= kRows, left += kRows * params.inner, output += kRows * params.columns) {
            rows<Core, kRows>(params, scale, left, right, output);
        }
        if (kRows > 1 && r > 0) {
            rows<Core, 1>(params, scale, left, right, output);
            left += params.inner;
            output += params.columns;
        }
    }
}

}  // namespace mcu::kernels::tiles
