// Images among the arguments of an operator. An operator named ..._nhwc has its dimensions in that order, the
// others are NCHW; memory is channels-last for both.

#pragma once

#include "mcu/executorch/arguments.h"

namespace mcu::et {

enum class Dimensions { kNchw, kNhwc };

struct Image {
    const int8_t* data;
    int32_t batch;
    kernels::ImageSize size;
};

struct ImageOutput {
    int8_t* data;
    int32_t batch;
    kernels::ImageSize size;
};

namespace image {

inline std::span<const uint8_t> order(Dimensions dimensions) {
    static constexpr uint8_t kNchw[] = {0, 2, 3, 1};
    return dimensions == Dimensions::kNchw ? std::span<const uint8_t>(kNchw)
                                           : std::span(Arguments::kContiguous);
}

inline Image input(Arguments& arguments, const Operand& operand, Dimensions dimensions) {
    const auto at = order(dimensions);
    arguments.require(operand.rank == 4 && operand.elements > 0);
    const auto* const data = reinterpret_cast<const int8_t*>(arguments.ordered(operand, at));
    return {data, operand.size[at[0]], {operand.size[at[1]], operand.size[at[2]], operand.size[at[3]]}};
}

// The output is written in place: its memory has to be channels-last already.
inline ImageOutput output(Arguments& arguments, Dimensions dimensions) {
    const Operand operand = arguments.output(ScalarType::Char);
    const auto at = order(dimensions);
    arguments.require(operand.rank == 4 && operand.elements > 0);
    int32_t stride = 1;
    for (int32_t position = 3; position >= 0; --position) {
        arguments.require(operand.size[at[position]] == 1 || operand.stride[at[position]] == stride);
        stride *= operand.size[at[position]];
    }
    return {operand.as<int8_t>(),
            operand.size[at[0]],
            {operand.size[at[1]], operand.size[at[2]], operand.size[at[3]]}};
}

}  // namespace image
}  // namespace mcu::et
