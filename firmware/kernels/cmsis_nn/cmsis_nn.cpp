#include "mcu/kernels/cmsis_nn.h"

#include <arm_nnfunctions.h>

namespace mcu::kernels {
namespace {

// Left shift of both operands of a sum, as add.h has it.
constexpr int32_t kHeadroom = 20;

void check(bool fine) {
    if (!fine) {
        __builtin_trap();
    }
}

void check(arm_cmsis_nn_status status) {
    check(status == ARM_CMSIS_NN_SUCCESS);
}

cmsis_nn_dims dims(int32_t batch, const ImageSize& image) {
    return {batch, image.height, image.width, image.channels};
}

cmsis_nn_tile tile(const Pair& pair) {
    return {pair.x, pair.y};
}

cmsis_nn_activation activation(const OutputEpilogue& epilogue) {
    return {epilogue.activation_min, epilogue.activation_max};
}

// The library takes pointers to what it does not change.
cmsis_nn_per_channel_quant_params scales(const int32_t* multipliers, const int32_t* shifts) {
    return {const_cast<int32_t*>(multipliers), const_cast<int32_t*>(shifts)};
}

cmsis_nn_context context(uint8_t* scratch, int32_t planned, int32_t wanted) {
    check(wanted <= planned);
    return {scratch, wanted};
}

int32_t elements(const Broadcast& space) {
    int32_t product = 1;
    for (const int32_t size : space.shape) {
        product *= size;
    }
    return product;
}

}  // namespace

void cmsis_nn_conv2d_s8(const CmsisNnConv2dParams& params, const int8_t* input, const int8_t* weights,
                        const int32_t* bias, const int32_t* multipliers, const int32_t* shifts,
                        int8_t* output, uint8_t* scratch) {
    const Conv2dParams& conv = params.conv;
    const Window& window = conv.window;
    const cmsis_nn_conv_params options = {conv.input_offset,     conv.epilogue.zero_point,
                                          tile(window.stride),   tile(window.padding),
                                          tile(window.dilation), activation(conv.epilogue)};
    const cmsis_nn_per_channel_quant_params scale = scales(multipliers, shifts);
    const cmsis_nn_dims from = dims(conv.batch, conv.input);
    const cmsis_nn_dims to = dims(conv.batch, conv.output);
    const cmsis_nn_dims filter = {to.c, window.size.y, window.size.x, from.c};
    const cmsis_nn_dims channels = {1, 1, 1, to.c};
    const cmsis_nn_context buffer = context(
        scratch, params.scratch, arm_convolve_wrapper_s8_get_buffer_size(&options, &from, &filter, &to));
    check(arm_convolve_wrapper_s8(&buffer, &options, &scale, &from, input, &filter, weights, &channels, bias,
                                  &to, output));
}

void cmsis_nn_depthwise_conv2d_s8(const CmsisNnDepthwiseParams& params, const int8_t* input,
                                  const int8_t* weights, const int32_t* bias, const int32_t* multipliers,
                                  const int32_t* shifts, int8_t* output, uint8_t* scratch) {
    const DepthwiseConv2dParams& conv = params.conv;
    const Window& window = conv.window;
    const cmsis_nn_dw_conv_params options = {
        conv.input_offset,        conv.epilogue.zero_point, conv.output.channels / conv.input.channels,
        tile(window.stride),      tile(window.padding),     tile(window.dilation),
        activation(conv.epilogue)};
    const cmsis_nn_per_channel_quant_params scale = scales(multipliers, shifts);
    const cmsis_nn_dims from = dims(conv.batch, conv.input);
    const cmsis_nn_dims to = dims(conv.batch, conv.output);
    const cmsis_nn_dims filter = {1, window.size.y, window.size.x, to.c};
    const cmsis_nn_dims channels = {1, 1, 1, to.c};
    const cmsis_nn_context buffer =
        context(scratch, params.scratch,
                arm_depthwise_conv_wrapper_s8_get_buffer_size(&options, &from, &filter, &to));
    check(arm_depthwise_conv_wrapper_s8(&buffer, &options, &scale, &from, input, &filter, weights, &channels,
                                        bias, &to, output));
}

void cmsis_nn_linear_s8(const LinearParams& params, const int8_t* input, const int8_t* weights,
                        const int32_t* bias, int8_t* output) {
    const cmsis_nn_fc_params options = {0, 0, params.epilogue.zero_point, activation(params.epilogue)};
    const cmsis_nn_per_tensor_quant_params scale = {params.multiplier, params.shift};
    const cmsis_nn_dims from = {params.rows, 1, 1, params.inputs};
    const cmsis_nn_dims filter = {params.inputs, 1, 1, params.outputs};
    const cmsis_nn_dims channels = {1, 1, 1, params.outputs};
    const cmsis_nn_dims to = {params.rows, 1, 1, params.outputs};
    // Where it needs a buffer (Helium), that holds the sums' constant parts, and the bias is not looked at.
    const int32_t wanted = arm_fully_connected_s8_get_buffer_size(&filter);
    const cmsis_nn_context sums = {const_cast<int32_t*>(bias), wanted};
    check(arm_fully_connected_s8(&sums, &options, &scale, &from, input, &filter, weights, &channels, bias,
                                 &to, output));
}

void cmsis_nn_add_s8(const AddParams& params, const int8_t* first, const int8_t* second, int8_t* output) {
    const AddOperand& a = params.first;
    const AddOperand& b = params.second;
    check(arm_elementwise_add_s8(first, second, -a.zero_point, a.multiplier, a.shift, -b.zero_point,
                                 b.multiplier, b.shift, kHeadroom, output, params.epilogue.zero_point,
                                 params.multiplier, params.shift, params.epilogue.activation_min,
                                 params.epilogue.activation_max, elements(params.space)));
}

void cmsis_nn_mul_s8(const MulParams& params, const int8_t* first, const int8_t* second, int8_t* output) {
    check(arm_elementwise_mul_s8(first, second, -params.first_zero_point, -params.second_zero_point, output,
                                 params.epilogue.zero_point, params.multiplier, params.shift,
                                 params.epilogue.activation_min, params.epilogue.activation_max,
                                 elements(params.space)));
}

void cmsis_nn_avg_pool2d_s8(const CmsisNnAvgPool2dParams& params, const int8_t* input, int8_t* output,
                            uint8_t* scratch) {
    const AvgPool2dParams& pool = params.pool;
    const cmsis_nn_pool_params options = {tile(pool.window.stride), tile(pool.window.padding), {-128, 127}};
    const cmsis_nn_dims from = dims(pool.batch, pool.input);
    const cmsis_nn_dims to = dims(pool.batch, pool.output);
    const cmsis_nn_dims filter = {1, pool.window.size.y, pool.window.size.x, 1};
    const cmsis_nn_context buffer =
        context(scratch, params.scratch, arm_avgpool_s8_get_buffer_size(to.w, from.c));
    check(arm_avgpool_s8(&buffer, &options, &from, input, &filter, &to, output));
}

void cmsis_nn_max_pool2d_s8(const MaxPool2dParams& params, const int8_t* input, int8_t* output) {
    const cmsis_nn_pool_params options = {tile(params.window.stride),
                                          tile(params.window.padding),
                                          {params.activation_min, params.activation_max}};
    const cmsis_nn_dims from = dims(params.batch, params.input);
    const cmsis_nn_dims to = dims(params.batch, params.output);
    const cmsis_nn_dims filter = {1, params.window.size.y, params.window.size.x, 1};
    const cmsis_nn_context none = {nullptr, 0};
    check(arm_max_pool_s8(&none, &options, &from, input, &filter, &to, output));
}

}  // namespace mcu::kernels
