// The stand-in's functions: our reference kernels, called through CMSIS-NN's interface.
//
// Buffers and outputs are spoilt before anything is read, so that a plan shows which lets them overlap
// something. MISTAKE adds one to the first output; GREEDY wants a byte more than is planned; SUMS is Helium's
// way with linear layers, whose sums come in the buffer.

#include <arm_nnfunctions.h>

#include <cstring>

#include "mcu/kernels/add.h"
#include "mcu/kernels/conv2d.h"
#include "mcu/kernels/depthwise_conv2d.h"
#include "mcu/kernels/linear.h"
#include "mcu/kernels/mul.h"
#include "mcu/kernels/pool.h"

#ifndef MISTAKE
#define MISTAKE 0
#endif
#ifndef GREEDY
#define GREEDY 0
#endif
#ifndef SUMS
#define SUMS 0
#endif

using namespace mcu::kernels;

namespace {

ImageSize size_of(const cmsis_nn_dims* dims) {
    return {dims->h, dims->w, dims->c};
}

Pair pair(const cmsis_nn_tile& tile) {
    return {tile.h, tile.w};
}

template <typename Options>
OutputEpilogue epilogue(const Options* options) {
    return {options->output_offset, options->activation.min, options->activation.max};
}

template <typename Options>
Window pool_window(const Options* options, const cmsis_nn_dims* filter) {
    return {{filter->h, filter->w}, pair(options->stride), pair(options->padding), {1, 1}};
}

void spoil(const cmsis_nn_context* context, int8_t* output, int32_t count) {
    if (context != nullptr && context->size > 0) {
        std::memset(context->buf, 0x5A, context->size);
    }
    std::memset(output, 0xA5, count);
}

int32_t elements(const cmsis_nn_dims* dims) {
    return dims->n * dims->h * dims->w * dims->c;
}

arm_cmsis_nn_status done(int8_t* output) {
    *output = static_cast<int8_t>(*output + MISTAKE);
    return ARM_CMSIS_NN_SUCCESS;
}

Broadcast line(int32_t count) {
    return {{1, 1, 1, 1, 1, count},
            {count, count, count, count, count, 1},
            {count, count, count, count, count, 1}};
}

}  // namespace

int32_t arm_convolve_wrapper_s8_get_buffer_size(const cmsis_nn_conv_params*, const cmsis_nn_dims* input,
                                                const cmsis_nn_dims* filter, const cmsis_nn_dims*) {
    const int32_t count = filter->h * filter->w * input->c;
    return count == input->c ? 0 : 4 * ((count + 15) / 16 * 16) + GREEDY;
}

arm_cmsis_nn_status arm_convolve_wrapper_s8(const cmsis_nn_context* context,
                                            const cmsis_nn_conv_params* options,
                                            const cmsis_nn_per_channel_quant_params* scale,
                                            const cmsis_nn_dims* input, const int8_t* source,
                                            const cmsis_nn_dims* filter, const int8_t* weights,
                                            const cmsis_nn_dims*, const int32_t* bias,
                                            const cmsis_nn_dims* output, int8_t* target) {
    spoil(context, target, elements(output));
    const Window window = {
        {filter->h, filter->w}, pair(options->stride), pair(options->padding), pair(options->dilation)};
    conv2d_s8(
        {input->n, size_of(input), size_of(output), window, 1, options->input_offset, epilogue(options)},
        source, weights, bias, scale->multiplier, scale->shift, target);
    return done(target);
}

int32_t arm_depthwise_conv_wrapper_s8_get_buffer_size(const cmsis_nn_dw_conv_params*,
                                                      const cmsis_nn_dims* input, const cmsis_nn_dims* filter,
                                                      const cmsis_nn_dims* output) {
    return input->c == output->c ? 2 * input->c * filter->h * filter->w : 0;
}

arm_cmsis_nn_status arm_depthwise_conv_wrapper_s8(const cmsis_nn_context* context,
                                                  const cmsis_nn_dw_conv_params* options,
                                                  const cmsis_nn_per_channel_quant_params* scale,
                                                  const cmsis_nn_dims* input, const int8_t* source,
                                                  const cmsis_nn_dims* filter, const int8_t* weights,
                                                  const cmsis_nn_dims*, const int32_t* bias,
                                                  const cmsis_nn_dims* output, int8_t* target) {
    spoil(context, target, elements(output));
    if (options->ch_mult * input->c != output->c) {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    const Window window = {
        {filter->h, filter->w}, pair(options->stride), pair(options->padding), pair(options->dilation)};
    depthwise_conv2d_s8(
        {input->n, size_of(input), size_of(output), window, options->input_offset, epilogue(options)}, source,
        weights, bias, scale->multiplier, scale->shift, target);
    return done(target);
}

int32_t arm_fully_connected_s8_get_buffer_size(const cmsis_nn_dims* filter) {
    return SUMS != 0 ? 4 * filter->c : 0;
}

arm_cmsis_nn_status arm_fully_connected_s8(const cmsis_nn_context* context, const cmsis_nn_fc_params* options,
                                           const cmsis_nn_per_tensor_quant_params* scale,
                                           const cmsis_nn_dims* input, const int8_t* source,
                                           const cmsis_nn_dims* filter, const int8_t* weights,
                                           const cmsis_nn_dims*, const int32_t* bias,
                                           const cmsis_nn_dims* output, int8_t* target) {
    spoil(nullptr, target, elements(output));
    const auto* sums = SUMS != 0 ? static_cast<const int32_t*>(context->buf) : bias;
    linear_s8({input->n, filter->n, output->c, options->input_offset, options->filter_offset,
               scale->multiplier, scale->shift, epilogue(options)},
              source, weights, sums, target);
    return done(target);
}

arm_cmsis_nn_status arm_elementwise_add_s8(const int8_t* first, const int8_t* second, int32_t offset1,
                                           int32_t multiplier1, int32_t shift1, int32_t offset2,
                                           int32_t multiplier2, int32_t shift2, int32_t left_shift,
                                           int8_t* target, int32_t out_offset, int32_t multiplier,
                                           int32_t shift, int32_t min, int32_t max, int32_t count) {
    spoil(nullptr, target, count);
    if (left_shift != 20) {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    add_s8({line(count),
            {-offset1, multiplier1, shift1},
            {-offset2, multiplier2, shift2},
            multiplier,
            shift,
            {out_offset, min, max}},
           first, second, target);
    return done(target);
}

arm_cmsis_nn_status arm_elementwise_mul_s8(const int8_t* first, const int8_t* second, int32_t offset1,
                                           int32_t offset2, int8_t* target, int32_t out_offset,
                                           int32_t multiplier, int32_t shift, int32_t min, int32_t max,
                                           int32_t count) {
    spoil(nullptr, target, count);
    mul_s8({line(count), -offset1, -offset2, multiplier, shift, {out_offset, min, max}}, first, second,
           target);
    return done(target);
}

int32_t arm_avgpool_s8_get_buffer_size(int, int channels) {
    return 4 * channels;
}

arm_cmsis_nn_status arm_avgpool_s8(const cmsis_nn_context* context, const cmsis_nn_pool_params* options,
                                   const cmsis_nn_dims* input, const int8_t* source,
                                   const cmsis_nn_dims* filter, const cmsis_nn_dims* output, int8_t* target) {
    spoil(context, target, elements(output));
    avg_pool2d_s8({input->n, size_of(input), size_of(output), pool_window(options, filter)}, source, target);
    return done(target);
}

arm_cmsis_nn_status arm_max_pool_s8(const cmsis_nn_context* context, const cmsis_nn_pool_params* options,
                                    const cmsis_nn_dims* input, const int8_t* source,
                                    const cmsis_nn_dims* filter, const cmsis_nn_dims* output,
                                    int8_t* target) {
    spoil(context, target, elements(output));
    max_pool2d_s8({input->n, size_of(input), size_of(output), pool_window(options, filter),
                   options->activation.min, options->activation.max},
                  source, target);
    return done(target);
}
