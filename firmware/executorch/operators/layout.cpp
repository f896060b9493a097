// cortex_m: transposes and padding.

#include <cstring>

#include "mcu/executorch/operators.h"
#include "mcu/kernels/pad.h"

namespace mcu::et {
namespace {

constexpr int32_t kPadRank = 4;

// Entry of a list of four sizes that belongs to a dimension: sizes are in the exporter's order of memory,
// with what it took for channels-last (is_channels_last() in its passes_utils.py: the ambiguous shapes count
// as such).
int32_t position(const Operand& input, int32_t dimension) {
    if (input.rank < kPadRank) {
        return kPadRank - input.rank + dimension;
    }
    static constexpr int32_t kChannelsLast[] = {0, 3, 1, 2};
    const bool channels_last = input.size[1] == 1 || (input.size[2] == 1 && input.size[3] == 1) ||
                               (input.order[0] == 0 && input.order[1] == 2);
    return channels_last ? kChannelsLast[dimension] : dimension;
}

}  // namespace

// (input, perm, out): output dimension i is input dimension perm[i]
void transpose(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand input = arguments.tensor(0), output = arguments.output(input.type);
    const auto perm = arguments.integers(1);
    arguments.require(input.rank == output.rank && static_cast<int32_t>(perm.size()) == input.rank);
    int32_t strides[kRank]{};
    for (int32_t i = 0; arguments.ok() && i < input.rank; ++i) {
        const int32_t from = arguments.axis(perm[i], input.rank);
        arguments.require(output.size[i] == input.size[from]);
        strides[i] = input.stride[from];
    }
    arguments.copy_strided(input.data, strides, output);
}

// (input, pre_pad, post_pad, value, out): border sizes, four each, the last for the last dimension
void pad(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand input = arguments.tensor(0), output = arguments.output(input.type);
    const auto before = arguments.integers(1), after = arguments.integers(2);
    int32_t value = arguments.integer(3);
    arguments.require(input.rank == output.rank && input.rank >= 1 && input.rank <= kPadRank);
    arguments.require(before.size() == kPadRank && after.size() == kPadRank);
    if (!arguments.ok()) {
        return;
    }
    if (input.type == ScalarType::Float) {
        const auto real = static_cast<float>(value);
        std::memcpy(&value, &real, sizeof(value));
    }
    kernels::PadParams params{
        .shape = {1, 1, 1, 1}, .inside = {1, 1, 1, 1}, .strides = {}, .before = {}, .value = value};
    for (int32_t i = 0; i < input.rank; ++i) {
        const int32_t dimension = output.order[i], at = kPadRank - input.rank + i;
        const int32_t entry = position(input, dimension);
        params.shape[at] = output.size[dimension];
        params.inside[at] = input.size[dimension];
        params.strides[at] = input.stride[dimension];
        params.before[at] = static_cast<int32_t>(before[entry]);
        arguments.require(input.size[dimension] + before[entry] + after[entry] == output.size[dimension]);
    }
    if (!arguments.ok()) {
        return;
    }
    switch (input.element_bytes) {
        case 1:
            return kernels::pad_x8(params, input.data, output.data);
        case 2:
            return kernels::pad_x16(params, input.data, output.data);
        case 4:
            return kernels::pad_x32(params, input.data, output.data);
        default:
            arguments.require(false);
    }
}

}  // namespace mcu::et
