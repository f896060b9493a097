// Normalization of int8 and int16 in 32 bits: norm_s8 and norm_s16 of norm.h for groups that are rows of
// elements side by side.
//
// The arithmetic is that of norm.h. A product that is shifted by more than 32 bits is its upper half, shifted
// with rounding: what is below does not reach the half that is added. So the difference, and what is
// normalized, are shifted to the left first where less is to be left out. weight [entries] is shifted
// likewise in advance; bias [entries] holds the output's zero point and the last rounding. Exact where `left`
// leaves 32 bits (kernels/norms.py), with at most 2^16 elements in a group.

#pragma once

#include <cstdint>

#include "mcu/kernels/inverse_root.h"

namespace mcu::kernels {

struct NormRowsParams {
    int32_t batches;
    int32_t groups;
    int32_t rows;        // of a group
    int32_t row;         // elements of one
    int32_t batch_step;  // from a batch to the next
    int32_t group_step;  // from a group's first row to that of the next
    int32_t row_step;    // from row to row
    int32_t entry_step;  // in weight and bias, from a group to the next
    bool by_row;         // an entry for each row of a group, else for each element of a row
    bool centered;
    int32_t input_zero_point;
    int32_t left;   // of what is normalized
    int32_t right;  // of its product's upper half, at least 1
    int64_t epsilon;
};

// What turns elements into differences, and these into what is normalized:
// high half of (element * scale + offset) * multiplier, shifted to the right by `right`.
struct NormRowsFactors {
    int32_t scale;
    int32_t offset;
    int32_t multiplier;
    int32_t right;
};

// From sums over a group's elements and over their squares.
inline NormRowsFactors norm_rows_factors(const NormRowsParams& params, int32_t sum, int64_t squares) {
    const int32_t count = params.rows * params.row;
    const int64_t zero = params.input_zero_point;
    const int64_t centers = sum - count * zero;
    const int64_t all = params.centered ? centers : 0;
    const int64_t spread =
        count * (squares - 2 * zero * sum + count * zero * zero) - all * all + params.epsilon;
    const InverseRoot root = inverse_root(static_cast<uint64_t>(spread > 0 ? spread : 1));
    const int32_t left = root.shift < 33 ? 33 - root.shift : 0;
    const int64_t offset = -(count * zero + all);
    return {count << left, static_cast<int32_t>(static_cast<uint32_t>(offset) << left), root.multiplier,
            root.shift + left - 32};
}

// Calls group(first element, first entry) for each group.
template <typename Group>
void for_each_norm_group(const NormRowsParams& params, const Group& group) {
    for (int32_t n = 0; n < params.batches; ++n) {
        for (int32_t g = 0; g < params.groups; ++g) {
            group(n * params.batch_step + g * params.group_step, g * params.entry_step);
        }
    }
}

void mve_norm_rows_s8(const NormRowsParams& params, const int8_t* input, const int32_t* weight,
                      const int32_t* bias, int8_t* output);
void dsp_norm_rows_s8(const NormRowsParams& params, const int8_t* input, const int32_t* weight,
                      const int32_t* bias, int8_t* output);
void mve_norm_rows_s16(const NormRowsParams& params, const int16_t* input, const int32_t* weight,
                       const int32_t* bias, int16_t* output);
void dsp_norm_rows_s16(const NormRowsParams& params, const int16_t* input, const int32_t* weight,
                       const int32_t* bias, int16_t* output);

}  // namespace mcu::kernels
