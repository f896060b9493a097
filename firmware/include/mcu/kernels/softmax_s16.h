// Softmax of int16.
//
//   octaves = rounded(max - value, multiplier, shift)       16 bits behind the point
//   power   = 2^-octaves in units of 2^-30: straight lines between `table`, 257 entries of an octave, then a
//             rounding shift by the whole octaves
//   output  = clamp((power * floor(2^61 / sum of powers) + 2^45) >> 46)      a share in units of 2^-15
//
// softmax_s16 runs along `axis` of [outer][axis][inner]; masked_softmax_s16 along rows of [batches][rows]
// [columns], over what is not 0 in the mask, and gives 0 elsewhere. Exact (round_s16.h), equal to
// mcu_build::softmax_s16 and masked_softmax_s16. A division of 64 bits a row, five products of 32 bits an
// element.

#pragma once

#include "mcu/kernels/round_s16.h"

namespace mcu::kernels {

struct SoftmaxS16Params {
    int32_t outer;
    int32_t axis;
    int32_t inner;
    int32_t multiplier;
    int32_t shift;
};

struct MaskedSoftmaxS16Params {
    int32_t batches;
    int32_t rows;
    int32_t columns;
    int32_t mask_batch_stride;
    int32_t mask_row_stride;
    int32_t multiplier;
    int32_t shift;
};

void softmax_s16(const SoftmaxS16Params& params, const int16_t* input, const int32_t* table, int16_t* output);
void masked_softmax_s16(const MaskedSoftmaxS16Params& params, const int16_t* input, const void* mask,
                        const int32_t* table, int16_t* output);

}  // namespace mcu::kernels
