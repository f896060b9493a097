// cortex_m: average and maximum of windows over images.

#include <cmath>

#include "image.h"
#include "mcu/executorch/operators.h"
#include "mcu/kernels/pool.h"

namespace mcu::et {
namespace {

// Windows below this size average exactly in float32, so integers give the same.
constexpr int32_t kExactWindow = 1 << 16;

struct Images {
    Image input;
    ImageOutput output;
    kernels::Window window;
};

Images images(Arguments& arguments, Dimensions dimensions) {
    const Images found{
        .input = image::input(arguments, arguments.tensor(0, ScalarType::Char), dimensions),
        .output = image::output(arguments, dimensions),
        .window = {arguments.pair(1), arguments.pair(2), arguments.pair(3), {1, 1}},
    };
    arguments.require(found.input.batch == found.output.batch &&
                      found.input.size.channels == found.output.size.channels);
    return found;
}

// (input, kernel_size, stride, padding, ceil_mode, zero_point, multiplier, shift, scratch, out)
void avg_pool2d(KernelRuntimeContext& context, Values values, Dimensions dimensions) {
    Arguments arguments(context, values);
    const Images found = images(arguments, dimensions);
    const int32_t zero_point = arguments.integer(5);
    const int32_t multiplier = arguments.integer(6), shift = arguments.integer(7);
    if (!arguments.ok()) {
        return;
    }
    const bool power_of_two = multiplier > 0 && (multiplier & (multiplier - 1)) == 0;
    if (power_of_two && found.window.size.y * found.window.size.x < kExactWindow) {
        kernels::avg_pool2d_s8(
            {found.input.batch, found.input.size, found.output.size, found.window, zero_point},
            found.input.data, found.output.data);
        return;
    }
    const auto scale = static_cast<float>(std::ldexp(static_cast<double>(multiplier), shift - 31));
    kernels::avg_pool2d_float_s8(
        {found.input.batch, found.input.size, found.output.size, found.window, zero_point, scale},
        found.input.data, found.output.data);
}

// (input, kernel_size, stride, padding, dilation, ceil_mode, input zero point, output zero point, min, max,
// out)
void max_pool2d(KernelRuntimeContext& context, Values values, Dimensions dimensions) {
    Arguments arguments(context, values);
    const Images found = images(arguments, dimensions);
    const Pair dilation = arguments.pair(4);
    arguments.require(dilation.y == 1 && dilation.x == 1 && arguments.integer(5) == 0);
    arguments.require(arguments.integer(6) == arguments.integer(7));
    const int32_t low = arguments.integer(8), high = arguments.integer(9);
    if (arguments.ok()) {
        kernels::max_pool2d_s8(
            {found.input.batch, found.input.size, found.output.size, found.window, low, high},
            found.input.data, found.output.data);
    }
}

}  // namespace

void quantized_avg_pool2d(KernelRuntimeContext& context, Values values) {
    avg_pool2d(context, values, Dimensions::kNchw);
}

void quantized_avg_pool2d_nhwc(KernelRuntimeContext& context, Values values) {
    avg_pool2d(context, values, Dimensions::kNhwc);
}

void quantized_max_pool2d(KernelRuntimeContext& context, Values values) {
    max_pool2d(context, values, Dimensions::kNchw);
}

void quantized_max_pool2d_nhwc(KernelRuntimeContext& context, Values values) {
    max_pool2d(context, values, Dimensions::kNhwc);
}

// (input, kernel_size, stride, padding, out): with ceil_mode, which shows in the output's size alone.
void max_pool2d_beyond(KernelRuntimeContext& context, Values values) {
    Arguments arguments(context, values);
    const Images found = images(arguments, Dimensions::kNchw);
    if (arguments.ok()) {
        kernels::max_pool2d_s8(
            {found.input.batch, found.input.size, found.output.size, found.window, -128, 127},
            found.input.data, found.output.data);
    }
}

}  // namespace mcu::et
