// Enlarge int8 images [batch][height][width][channels] by whole factors: each pixel is repeated.
//
//   output[n][y][x] = input[n][(y + above) / factor.y][x / factor.x]
//
// `above` is what of the first row's repetitions lies above the output; 0 for a whole image. Exact: bytes are
// copied. A row is made of pixels once, and copied from the row above then.

#pragma once

#include <cstdint>

#include "mcu/kernels/image.h"

namespace mcu::kernels {

struct UpsampleParams {
    int32_t batch;
    ImageSize input;
    ImageSize output;
    Pair factor;
    int32_t above;
};

void upsample_s8(const UpsampleParams& params, const int8_t* input, int8_t* output);

}  // namespace mcu::kernels
