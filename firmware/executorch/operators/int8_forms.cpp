// mcu_build: the int8 operators that are ours.

#include "image.h"
#include "mcu/executorch/operators.h"
#include "mcu/kernels/masked_softmax.h"
#include "mcu/kernels/norm.h"
#include "mcu/kernels/prelu.h"
#include "mcu/kernels/resample.h"

namespace mcu::et {
namespace {

constexpr int32_t kDifferences = 256;

// The input with its memory in the order of the output's.
const int8_t* source(Arguments& arguments, const Operand& output) {
    const Operand input = arguments.tensor(0, ScalarType::Char);
    arguments.require(output.rank >= 2 && output.elements > 0 && same_sizes(input, output));
    return reinterpret_cast<const int8_t*>(arguments.ordered_as(input, output));
}

// Between neighbours of the dimensions behind the channels.
int32_t position_stride(const Operand& output) {
    for (int32_t d = output.rank - 1; d > 1; --d) {
        if (output.size[d] != 1) {
            return output.stride[d];
        }
    }
    return 0;
}

}  // namespace

// (input, slopes, positive, shift, input_zero_point, output_zero_point, out)
void prelu(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand output = arguments.output(ScalarType::Char);
    const auto* const input = source(arguments, output);
    const Operand slopes = arguments.tensor(1, ScalarType::Int);
    const int32_t channels = output.size[1], inner = output.stride[1];
    arguments.require(slopes.elements == channels);
    const int32_t positive = arguments.integer(2), shift = arguments.integer(3);
    const int32_t input_zero_point = arguments.integer(4), output_zero_point = arguments.integer(5);
    arguments.require(shift >= 1 && shift <= 30);
    if (arguments.ok()) {
        kernels::prelu_s8({.outer = output.elements / (channels * inner),
                           .channels = channels,
                           .inner = inner,
                           .positive = positive,
                           .shift = shift,
                           .input_zero_point = input_zero_point,
                           .output_zero_point = output_zero_point},
                          input, slopes.as<const int32_t>(), output.as<int8_t>());
    }
}

// (input, weight, bias, groups, centered, epsilon, input_zero_point, output_zero_point, shift, out)
void norm(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand output = arguments.output(ScalarType::Char);
    const auto* const input = source(arguments, output);
    const Operand weight = arguments.tensor(1, ScalarType::Int), bias = arguments.tensor(2, ScalarType::Int);
    const int32_t channels = output.size[1], groups = arguments.integer(3);
    arguments.require(groups > 0 && channels % (groups > 0 ? groups : 1) == 0);
    arguments.require(weight.elements == bias.elements);
    arguments.require(weight.elements == 1 || weight.elements == channels);
    kernels::NormParams params{
        .batches = output.size[0],
        .groups = groups,
        .channels_per_group = 0,
        .positions = product(output.size, 2, output.rank),
        .strides = {output.stride[0], output.stride[1], position_stride(output)},
        .parameter_stride = weight.elements == 1 ? 0 : 1,
        .input_zero_point = arguments.integer(6),
        .output_zero_point = arguments.integer(7),
        .shift = arguments.integer(8),
        .centered = arguments.integer(4) != 0,
        .epsilon = arguments.long_integer(5),
    };
    arguments.require(params.shift >= 1 && params.shift <= 62 && params.epsilon >= 0);
    if (arguments.ok()) {
        params.channels_per_group = channels / groups;
        kernels::norm_s8(params, input, weight.as<const int32_t>(), bias.as<const int32_t>(),
                         output.as<int8_t>());
    }
}

// (input, row_starts, row_weights, column_starts, column_weights, input_zero_point, output_zero_point,
// multiplier, shift, out). That runs lie inside the image is checked when the program is made.
void resample(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Image input = image::input(arguments, arguments.tensor(0, ScalarType::Char), Dimensions::kNchw);
    const ImageOutput output = image::output(arguments, Dimensions::kNchw);
    const Operand row_starts = arguments.tensor(1, ScalarType::Int);
    const Operand rows = arguments.tensor(2, ScalarType::Short);
    const Operand column_starts = arguments.tensor(3, ScalarType::Int);
    const Operand columns = arguments.tensor(4, ScalarType::Short);
    arguments.require(rows.rank == 2 && rows.size[0] == output.size.height);
    arguments.require(columns.rank == 2 && columns.size[0] == output.size.width);
    arguments.require(row_starts.elements == output.size.height &&
                      column_starts.elements == output.size.width);
    const kernels::ResampleParams params{
        .batch = input.batch,
        .input = input.size,
        .output = output.size,
        .taps = {rows.size[1], columns.size[1]},
        .input_zero_point = arguments.integer(5),
        .output_zero_point = arguments.integer(6),
        .multiplier = arguments.integer(7),
        .shift = arguments.integer(8),
    };
    if (arguments.ok()) {
        kernels::resample_s8(params, input.data, row_starts.as<const int32_t>(), rows.as<const int16_t>(),
                             column_starts.as<const int32_t>(), columns.as<const int16_t>(), output.data);
    }
}

// (input [b, r, c], mask [1 | b, 1 | r, c] of bool or int8, table, out)
void masked_softmax(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand output = arguments.output(ScalarType::Char);
    const auto* const input = source(arguments, output);
    const Operand mask = arguments.tensor(1), table = arguments.tensor(2, ScalarType::Int);
    arguments.require(output.rank == 3 && mask.rank == 3 && mask.element_bytes == 1);
    arguments.require((mask.size[0] == 1 || mask.size[0] == output.size[0]) &&
                      (mask.size[1] == 1 || mask.size[1] == output.size[1]) &&
                      mask.size[2] == output.size[2]);
    arguments.require(table.elements == kDifferences);
    const kernels::MaskedSoftmaxParams params{
        .batches = output.size[0],
        .rows = output.size[1],
        .columns = output.size[2],
        .mask_batch_stride = mask.size[0] == 1 ? 0 : mask.size[1] * mask.size[2],
        .mask_row_stride = mask.size[1] == 1 ? 0 : mask.size[2],
    };
    const auto* const flags = arguments.contiguous<std::byte>(mask);
    if (arguments.ok()) {
        kernels::masked_softmax_s8(params, input, flags, table.as<const int32_t>(), output.as<int8_t>());
    }
}

// (input, table, step, octave, shift, output_zero_point, out)
void log_softmax(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Operand output = arguments.output(ScalarType::Char);
    const auto* const input = source(arguments, output);
    const Operand table = arguments.tensor(1, ScalarType::Int);
    arguments.require(output.rank == 2 && table.elements == kDifferences);
    const kernels::LogSoftmaxParams params{
        .rows = output.size[0],
        .columns = output.size[1],
        .step = arguments.integer(2),
        .octave = arguments.integer(3),
        .shift = arguments.integer(4),
        .output_zero_point = arguments.integer(5),
    };
    arguments.require(params.shift >= 1 && params.shift <= 62);
    if (arguments.ok()) {
        kernels::log_softmax_s8(params, input, table.as<const int32_t>(), output.as<int8_t>());
    }
}

}  // namespace mcu::et
