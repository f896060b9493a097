// cortex_m: convolutions, plain, depthwise and transposed.

#include "image.h"
#include "mcu/executorch/operators.h"
#include "mcu/kernels/conv2d.h"
#include "mcu/kernels/depthwise_conv2d.h"
#include "mcu/kernels/transpose_conv2d.h"

namespace mcu::et {
namespace {

struct Convolution {
    Image input;
    ImageOutput output;
    Operand weights;  // four dimensions, dense
    const int32_t* bias;
    const int32_t* multipliers;
    const int32_t* shifts;
};

// Input, weights, bias and output; the multipliers are argument `scales`, followed by the shifts.
Convolution operands(Arguments& arguments, Dimensions dimensions, size_t scales) {
    Operand weights = arguments.tensor(1, ScalarType::Char);
    weights.data = const_cast<std::byte*>(arguments.ordered(weights, Arguments::kContiguous));
    const Operand bias = arguments.optional_tensor(2, ScalarType::Int);
    const Operand multipliers = arguments.tensor(scales, ScalarType::Int);
    const Operand shifts = arguments.tensor(scales + 1, ScalarType::Int);
    const Convolution found{
        .input = image::input(arguments, arguments.tensor(0, ScalarType::Char), dimensions),
        .output = image::output(arguments, dimensions),
        .weights = weights,
        .bias = bias.as<const int32_t>(),
        .multipliers = multipliers.as<const int32_t>(),
        .shifts = shifts.as<const int32_t>(),
    };
    const int32_t channels = found.output.size.channels;
    arguments.require(weights.rank == 4 && weights.elements > 0 && found.input.batch == found.output.batch);
    arguments.require(bias.data == nullptr || bias.elements == channels);
    arguments.require(multipliers.elements == channels && shifts.elements == channels);
    return found;
}

// What the structs of all convolutions begin with.
template <typename Params>
Params begin(const Convolution& found) {
    Params params{};
    params.batch = found.input.batch;
    params.input = found.input.size;
    params.output = found.output.size;
    params.window.size = {found.weights.size[1], found.weights.size[2]};
    return params;
}

// (input, weight OHWI, bias, stride, padding, dilation, input_offset, output_offset, multipliers, shifts,
// min, max, scratch, out)
void conv2d(KernelRuntimeContext& context, Values values, Dimensions dimensions) {
    Arguments arguments(context, values);
    const Convolution found = operands(arguments, dimensions, 8);
    auto params = begin<kernels::Conv2dParams>(found);
    params.window.stride = arguments.pair(3);
    params.window.padding = arguments.pair(4);
    params.window.dilation = arguments.pair(5);
    params.input_offset = arguments.integer(6);
    params.stage = arguments.stage(7, 10, 11);
    const int32_t depth = found.weights.size[3], channels = found.input.size.channels;
    if (!arguments.ok()) {
        return;
    }
    params.groups = channels / depth;
    arguments.require(params.groups > 0 && channels % depth == 0 &&
                      found.weights.size[0] % params.groups == 0 &&
                      found.weights.size[0] == found.output.size.channels);
    if (arguments.ok()) {
        kernels::conv2d_s8(params, found.input.data, found.weights.as<const int8_t>(), found.bias,
                           found.multipliers, found.shifts, found.output.data);
    }
}

// (input, weight 1HWO, bias, stride, padding, dilation, depth_multiplier, input_offset, output_offset,
// multipliers, shifts, min, max, scratch, out)
void depthwise_conv2d(KernelRuntimeContext& context, Values values, Dimensions dimensions) {
    Arguments arguments(context, values);
    const Convolution found = operands(arguments, dimensions, 9);
    auto params = begin<kernels::DepthwiseConv2dParams>(found);
    params.window.stride = arguments.pair(3);
    params.window.padding = arguments.pair(4);
    params.window.dilation = arguments.pair(5);
    params.input_offset = arguments.integer(7);
    params.stage = arguments.stage(8, 11, 12);
    const int32_t outputs = found.weights.size[3];
    arguments.require(found.weights.size[0] == 1 && outputs == found.output.size.channels);
    arguments.require(arguments.ok() && outputs % found.input.size.channels == 0);
    if (arguments.ok()) {
        kernels::depthwise_conv2d_s8(params, found.input.data, found.weights.as<const int8_t>(), found.bias,
                                     found.multipliers, found.shifts, found.output.data);
    }
}

// (input, weight OHWI, bias, stride, padding, output_padding, dilation, input_offset, output_offset,
// multipliers, shifts, min, max, scratch, scratch, out)
void transpose_conv2d(KernelRuntimeContext& context, Values values, Dimensions dimensions) {
    Arguments arguments(context, values);
    const Convolution found = operands(arguments, dimensions, 9);
    auto params = begin<kernels::TransposeConv2dParams>(found);
    params.window.stride = arguments.pair(3);
    params.window.padding = arguments.pair(4);
    params.window.dilation = arguments.pair(6);
    params.input_offset = arguments.integer(7);
    params.stage = arguments.stage(8, 11, 12);
    arguments.require(found.weights.size[3] == found.input.size.channels &&
                      found.weights.size[0] == found.output.size.channels);
    if (arguments.ok()) {
        kernels::transpose_conv2d_s8(params, found.input.data, found.weights.as<const int8_t>(), found.bias,
                                     found.multipliers, found.shifts, found.output.data);
    }
}

}  // namespace

void quantized_conv2d(KernelRuntimeContext& context, Values values) {
    conv2d(context, values, Dimensions::kNchw);
}

void quantized_conv2d_nhwc(KernelRuntimeContext& context, Values values) {
    conv2d(context, values, Dimensions::kNhwc);
}

void quantized_depthwise_conv2d(KernelRuntimeContext& context, Values values) {
    depthwise_conv2d(context, values, Dimensions::kNchw);
}

void quantized_depthwise_conv2d_nhwc(KernelRuntimeContext& context, Values values) {
    depthwise_conv2d(context, values, Dimensions::kNhwc);
}

void quantized_transpose_conv2d(KernelRuntimeContext& context, Values values) {
    transpose_conv2d(context, values, Dimensions::kNchw);
}

void quantized_transpose_conv2d_nhwc(KernelRuntimeContext& context, Values values) {
    transpose_conv2d(context, values, Dimensions::kNhwc);
}

}  // namespace mcu::et
