// Sizes that the kernels over images share. Images are [batch][height][width][channels].

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct ImageSize {
    int32_t height;
    int32_t width;
    int32_t channels;
};

// A vertical and a horizontal quantity.
struct Pair {
    int32_t y;
    int32_t x;
};

struct Window {
    Pair size;
    Pair stride;
    Pair padding;  // before the first row and column; what follows the last is implied by the output's size
    Pair dilation;
};

}  // namespace mcu::kernels
