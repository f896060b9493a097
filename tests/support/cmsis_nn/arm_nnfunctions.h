// A stand-in for CMSIS-NN: of its public interface what firmware/kernels/cmsis_nn calls, nothing more.

#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { ARM_CMSIS_NN_SUCCESS = 0, ARM_CMSIS_NN_ARG_ERROR = -1 } arm_cmsis_nn_status;

typedef struct {
    int32_t w, h;
} cmsis_nn_tile;
typedef struct {
    void* buf;
    int32_t size;
} cmsis_nn_context;
typedef struct {
    int32_t n, h, w, c;
} cmsis_nn_dims;
typedef struct {
    int32_t *multiplier, *shift;
} cmsis_nn_per_channel_quant_params;
typedef struct {
    int32_t multiplier, shift;
} cmsis_nn_per_tensor_quant_params;
typedef struct {
    int32_t min, max;
} cmsis_nn_activation;
typedef struct {
    int32_t input_offset, output_offset;
    cmsis_nn_tile stride, padding, dilation;
    cmsis_nn_activation activation;
} cmsis_nn_conv_params;
typedef struct {
    int32_t input_offset, output_offset, ch_mult;
    cmsis_nn_tile stride, padding, dilation;
    cmsis_nn_activation activation;
} cmsis_nn_dw_conv_params;
typedef struct {
    cmsis_nn_tile stride, padding;
    cmsis_nn_activation activation;
} cmsis_nn_pool_params;
typedef struct {
    int32_t input_offset, filter_offset, output_offset;
    cmsis_nn_activation activation;
} cmsis_nn_fc_params;

int32_t arm_convolve_wrapper_s8_get_buffer_size(const cmsis_nn_conv_params*, const cmsis_nn_dims* input,
                                                const cmsis_nn_dims* filter, const cmsis_nn_dims* output);
arm_cmsis_nn_status arm_convolve_wrapper_s8(const cmsis_nn_context*, const cmsis_nn_conv_params*,
                                            const cmsis_nn_per_channel_quant_params*,
                                            const cmsis_nn_dims* input, const int8_t*,
                                            const cmsis_nn_dims* filter, const int8_t*,
                                            const cmsis_nn_dims* bias, const int32_t*,
                                            const cmsis_nn_dims* output, int8_t*);
int32_t arm_depthwise_conv_wrapper_s8_get_buffer_size(const cmsis_nn_dw_conv_params*,
                                                      const cmsis_nn_dims* input, const cmsis_nn_dims* filter,
                                                      const cmsis_nn_dims* output);
arm_cmsis_nn_status arm_depthwise_conv_wrapper_s8(const cmsis_nn_context*, const cmsis_nn_dw_conv_params*,
                                                  const cmsis_nn_per_channel_quant_params*,
                                                  const cmsis_nn_dims* input, const int8_t*,
                                                  const cmsis_nn_dims* filter, const int8_t*,
                                                  const cmsis_nn_dims* bias, const int32_t*,
                                                  const cmsis_nn_dims* output, int8_t*);
int32_t arm_fully_connected_s8_get_buffer_size(const cmsis_nn_dims* filter);
arm_cmsis_nn_status arm_fully_connected_s8(const cmsis_nn_context*, const cmsis_nn_fc_params*,
                                           const cmsis_nn_per_tensor_quant_params*,
                                           const cmsis_nn_dims* input, const int8_t*,
                                           const cmsis_nn_dims* filter, const int8_t*,
                                           const cmsis_nn_dims* bias, const int32_t*,
                                           const cmsis_nn_dims* output, int8_t*);
arm_cmsis_nn_status arm_elementwise_add_s8(const int8_t*, const int8_t*, int32_t offset1, int32_t multiplier1,
                                           int32_t shift1, int32_t offset2, int32_t multiplier2,
                                           int32_t shift2, int32_t left_shift, int8_t*, int32_t out_offset,
                                           int32_t multiplier, int32_t shift, int32_t min, int32_t max,
                                           int32_t count);
arm_cmsis_nn_status arm_elementwise_mul_s8(const int8_t*, const int8_t*, int32_t offset1, int32_t offset2,
                                           int8_t*, int32_t out_offset, int32_t multiplier, int32_t shift,
                                           int32_t min, int32_t max, int32_t count);
int32_t arm_avgpool_s8_get_buffer_size(int output_width, int channels);
arm_cmsis_nn_status arm_avgpool_s8(const cmsis_nn_context*, const cmsis_nn_pool_params*,
                                   const cmsis_nn_dims* input, const int8_t*, const cmsis_nn_dims* filter,
                                   const cmsis_nn_dims* output, int8_t*);
arm_cmsis_nn_status arm_max_pool_s8(const cmsis_nn_context*, const cmsis_nn_pool_params*,
                                    const cmsis_nn_dims* input, const int8_t*, const cmsis_nn_dims* filter,
                                    const cmsis_nn_dims* output, int8_t*);

#ifdef __cplusplus
}
#endif
