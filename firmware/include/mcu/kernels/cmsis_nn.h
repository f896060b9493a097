// Calls of Arm's CMSIS-NN in place of our kernels, for the operators where both define one arithmetic:
// `--kernels cmsis-nn` links the user's own library (docs/cmsis-nn.md).
//
// Layouts and formulas are those of the kernels with these parameters (conv2d.h and so on). `scratch` is the
// bytes of the buffer that the last argument points to; a library that needs more, or refuses an argument,
// ends the program in a fault. Output and input do not overlap.

#pragma once

#include <cstdint>

#include "mcu/kernels/add.h"
#include "mcu/kernels/conv2d.h"
#include "mcu/kernels/depthwise_conv2d.h"
#include "mcu/kernels/linear.h"
#include "mcu/kernels/mul.h"
#include "mcu/kernels/pool.h"

namespace mcu::kernels {

struct CmsisNnConv2dParams {
    Conv2dParams conv;
    int32_t scratch;
};

struct CmsisNnDepthwiseParams {
    DepthwiseConv2dParams conv;
    int32_t scratch;
};

struct CmsisNnAvgPool2dParams {
    AvgPool2dParams pool;
    int32_t scratch;
};

void cmsis_nn_conv2d_s8(const CmsisNnConv2dParams& params, const int8_t* input, const int8_t* weights,
                        const int32_t* bias, const int32_t* multipliers, const int32_t* shifts,
                        int8_t* output, uint8_t* scratch);
void cmsis_nn_depthwise_conv2d_s8(const CmsisNnDepthwiseParams& params, const int8_t* input,
                                  const int8_t* weights, const int32_t* bias, const int32_t* multipliers,
                                  const int32_t* shifts, int8_t* output, uint8_t* scratch);
// `bias` has the input offset's share of the sums.
void cmsis_nn_linear_s8(const LinearParams& params, const int8_t* input, const int8_t* weights,
                        const int32_t* bias, int8_t* output);
// Both operands dense.
void cmsis_nn_add_s8(const AddParams& params, const int8_t* first, const int8_t* second, int8_t* output);
void cmsis_nn_mul_s8(const MulParams& params, const int8_t* first, const int8_t* second, int8_t* output);
// Windows of an odd number of pixels: no average is a tie.
void cmsis_nn_avg_pool2d_s8(const CmsisNnAvgPool2dParams& params, const int8_t* input, int8_t* output,
                            uint8_t* scratch);
void cmsis_nn_max_pool2d_s8(const MaxPool2dParams& params, const int8_t* input, int8_t* output);

}  // namespace mcu::kernels
