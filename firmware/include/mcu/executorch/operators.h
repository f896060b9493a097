// Our kernels as ExecuTorch calls them: one function for each operator, under the operator's schema (.out
// variant).
//
// python/mcu_build/codegen/executorch_operators.py says which operator each of them serves.

#pragma once

#include "mcu/executorch/arguments.h"

namespace mcu::et {

using Adapter = void(KernelRuntimeContext& context, Values values);

// activation.cpp
Adapter quantized_activation, softmax;
// convolution.cpp
Adapter quantized_conv2d, quantized_conv2d_nhwc, quantized_depthwise_conv2d, quantized_depthwise_conv2d_nhwc,
    quantized_transpose_conv2d, quantized_transpose_conv2d_nhwc;
// elementwise.cpp
Adapter quantized_add, quantized_mul, quantized_div, minimum, maximum;
// int8_forms.cpp
Adapter prelu, norm, resample, masked_softmax, log_softmax;
// layout.cpp
Adapter transpose, pad;
// lookup.cpp
Adapter embedding;
// matmul.cpp
Adapter quantized_linear, quantized_batch_matmul;
// movement.cpp
Adapter view_copy, copy_elements, permute_copy, transpose_copy, slice_copy, select_copy, expand_copy, cat;
// norm.cpp
Adapter native_layer_norm;
// pooling.cpp
Adapter quantized_avg_pool2d, quantized_avg_pool2d_nhwc, quantized_max_pool2d, quantized_max_pool2d_nhwc,
    max_pool2d_beyond;
// quantize.cpp
Adapter quantize_per_tensor, dequantize_per_tensor;
// recurrent.cpp
Adapter lstm, gru, rnn;

}  // namespace mcu::et
