#include "mcu/kernels/upsample.h"

#include <cstddef>
#include <cstring>

namespace mcu::kernels {
namespace {

int8_t* repeat_pixels(const UpsampleParams& params, const int8_t* pixel, int8_t* to) {
    const auto size = static_cast<std::size_t>(params.input.channels);
    for (int32_t x = 0; x < params.input.width; ++x, pixel += size) {
        for (int32_t i = 0; i < params.factor.x; ++i, to += size) std::memcpy(to, pixel, size);
    }
    return to;
}

}  // namespace

void upsample_s8(const UpsampleParams& params, const int8_t* input, int8_t* output) {
    const int32_t in_row = params.input.width * params.input.channels;
    const int32_t out_row = params.output.width * params.output.channels;
    for (int32_t n = 0; n < params.batch; ++n, input += params.input.height * in_row) {
        const int8_t* from = input;
        for (int32_t y = 0, turn = params.above; y < params.output.height; ++y, ++turn) {
            if (turn == params.factor.y) {
                turn = 0;
                from += in_row;
            }
            if (y == 0 || turn == 0) {
                output = repeat_pixels(params, from, output);
            } else {
                std::memcpy(output, output - out_row, static_cast<std::size_t>(out_row));
                output += out_row;
            }
        }
    }
}

}  // namespace mcu::kernels
