"""The command stream: opcodes, fields, names of values; common rows, then those of U55 and U65, of U85.

A row of commands: payload (0 or 1), opcode, name, fields as name@bit+width/names-of-values; bits count from
the parameter (bits 31:16 of the first word), or, with a payload, from the payload, the parameter above it at
bit 32. An indented line continues the one before. The names are the hardware's (Vela prints the same).
"""

COMMANDS = """
0 0x000 OP_STOP mask@0+16
0 0x001 OP_IRQ mask@0+16
0 0x003 OP_DEPTHWISE
0 0x005 OP_POOL pooling_mode@0+3/pooling_mode
0 0x006 OP_ELEMENTWISE elementwise_mode@0+6/elementwise_mode
0 0x010 OP_DMA_START
0 0x013 OP_PMU_MASK enable@0+1
0 0x100 SET_IFM_PAD_TOP pad@0+7
0 0x101 SET_IFM_PAD_LEFT pad@0+7
0 0x102 SET_IFM_PAD_RIGHT pad@0+8
0 0x103 SET_IFM_PAD_BOTTOM pad@0+8
0 0x104 SET_IFM_DEPTH_M1 depth_m1@0+16
0 0x107 SET_IFM_UPSCALE mode@0+2/ifm_upscale_mode
0 0x109 SET_IFM_ZERO_POINT zero_point@0+16
0 0x10a SET_IFM_WIDTH0_M1 width_m1@0+16
0 0x10b SET_IFM_HEIGHT0_M1 height_m1@0+16
0 0x10c SET_IFM_HEIGHT1_M1 height_m1@0+16
0 0x10f SET_IFM_REGION region@0+3
0 0x111 SET_OFM_WIDTH_M1 width_m1@0+16
0 0x112 SET_OFM_HEIGHT_M1 height_m1@0+16
0 0x113 SET_OFM_DEPTH_M1 depth_m1@0+16
0 0x118 SET_OFM_ZERO_POINT zero_point@0+16
0 0x11a SET_OFM_WIDTH0_M1 width_m1@0+16
0 0x11b SET_OFM_HEIGHT0_M1 height_m1@0+16
0 0x11c SET_OFM_HEIGHT1_M1 height_m1@0+16
0 0x11f SET_OFM_REGION region@0+3
0 0x120 SET_KERNEL_WIDTH_M1 width_m1@0+16
0 0x121 SET_KERNEL_HEIGHT_M1 height_m1@0+16
0 0x122 SET_KERNEL_STRIDE stride_x_lsb@0+1 stride_y_lsb@1+1 weight_order@2+1/weight_order
    dilation_x@3+1/kernel_dilation dilation_y@4+1/kernel_dilation decomposition@5+1/kernel_decomposition
    stride_x_msb@6+1 stride_y_msb@9+1
0 0x126 SET_ACTIVATION_MIN clip_boundary@0+16
0 0x127 SET_ACTIVATION_MAX clip_boundary@0+16
0 0x128 SET_WEIGHT_REGION region@0+3
0 0x129 SET_SCALE_REGION region@0+3
0 0x132 SET_DMA0_SIZE0 size@0+16
0 0x133 SET_DMA0_SIZE1 size@0+16
0 0x189 SET_IFM2_ZERO_POINT zero_point@0+16
0 0x18a SET_IFM2_WIDTH0_M1 width_m1@0+16
0 0x18b SET_IFM2_HEIGHT0_M1 height_m1@0+16
0 0x18c SET_IFM2_HEIGHT1_M1 height_m1@0+16
0 0x18f SET_IFM2_REGION region@0+3
1 0x000 SET_IFM_BASE0 addr@0+40
1 0x001 SET_IFM_BASE1 addr@0+40
1 0x002 SET_IFM_BASE2 addr@0+40
1 0x003 SET_IFM_BASE3 addr@0+40
1 0x004 SET_IFM_STRIDE_X addr@0+40
1 0x005 SET_IFM_STRIDE_Y addr@0+40
1 0x006 SET_IFM_STRIDE_C addr@0+40
1 0x010 SET_OFM_BASE0 addr@0+40
1 0x011 SET_OFM_BASE1 addr@0+40
1 0x012 SET_OFM_BASE2 addr@0+40
1 0x013 SET_OFM_BASE3 addr@0+40
1 0x014 SET_OFM_STRIDE_X addr@0+40
1 0x015 SET_OFM_STRIDE_Y addr@0+40
1 0x016 SET_OFM_STRIDE_C addr@0+40
1 0x020 SET_WEIGHT_BASE addr@0+40
1 0x021 SET_WEIGHT_LENGTH length@0+32
1 0x022 SET_SCALE_BASE addr@0+40
1 0x023 SET_SCALE_LENGTH length@0+20
1 0x030 SET_DMA0_SRC addr@0+40
1 0x031 SET_DMA0_DST addr@0+40
1 0x032 SET_DMA0_LEN addr@0+40
1 0x080 SET_IFM2_BASE0 addr@0+40
1 0x081 SET_IFM2_BASE1 addr@0+40
1 0x082 SET_IFM2_BASE2 addr@0+40
1 0x083 SET_IFM2_BASE3 addr@0+40
1 0x084 SET_IFM2_STRIDE_X addr@0+40
1 0x085 SET_IFM2_STRIDE_Y addr@0+40
1 0x086 SET_IFM2_STRIDE_C addr@0+40
1 0x090 SET_WEIGHT1_BASE addr@0+40
1 0x091 SET_WEIGHT1_LENGTH length@0+32
"""

COMMANDS_U65 = """
0 0x002 OP_CONV
0 0x011 OP_DMA_WAIT k@0+1
0 0x012 OP_KERNEL_WAIT n@0+2
0 0x105 SET_IFM_PRECISION activation_type@0+1/activation_type activation_precision@2+2/activation_precision
    activation_format@6+2/activation_format scale_mode@8+2/ifm_scale_mode round_mode@14+2/round_mode
0 0x10d SET_IFM_IB_END ib_end@0+6
0 0x114 SET_OFM_PRECISION activation_type@0+1/activation_type activation_precision@1+2/activation_precision
    activation_format@6+2/activation_format scale_mode@8+1/ofm_scale_mode round_mode@14+2/round_mode
0 0x115 SET_OFM_BLK_WIDTH_M1 width_m1@0+6
0 0x116 SET_OFM_BLK_HEIGHT_M1 height_m1@0+5
0 0x117 SET_OFM_BLK_DEPTH_M1 depth_m1@0+7
0 0x123 SET_PARALLEL_MODE parallel_mode@0+1/parallel_mode
0 0x124 SET_ACC_FORMAT acc_format@0+2/acc_format
0 0x125 SET_ACTIVATION activation_function@0+5/activation_function
    activation_clip_range@12+3/activation_clip_range
0 0x12d SET_AB_START ab_start@0+6
0 0x12f SET_BLOCKDEP blockdep@0+2
0 0x130 SET_DMA0_SRC_REGION region@0+3 region_mode@8+1/dma_region_mode stride_mode@9+2/dma_stride_mode
0 0x131 SET_DMA0_DST_REGION region@0+3 region_mode@8+1/dma_region_mode stride_mode@9+2/dma_stride_mode
0 0x180 SET_IFM2_BROADCAST broadcast_h@0+1/broadcast_mode broadcast_w@1+1/broadcast_mode
    broadcast_c@2+1/broadcast_mode operand_order@6+1/ifm2_operand_order
    broadcast_constant@7+1/broadcast_mode
0 0x181 SET_IFM2_SCALAR scalar@0+16
0 0x185 SET_IFM2_PRECISION activation_type@0+1/activation_type
    activation_precision@2+2/activation_precision activation_format@6+2/activation_format
0 0x18d SET_IFM2_IB_START ib_start@0+6
1 0x024 SET_OFM_SCALE shift@32+6 scale@0+32
1 0x025 SET_OPA_SCALE shift@32+6 scale@0+32
1 0x026 SET_OPB_SCALE scale@0+16
1 0x033 SET_DMA0_SKIP0 addr@0+40
1 0x034 SET_DMA0_SKIP1 addr@0+40
1 0x092 SET_SCALE1_BASE addr@0+40
1 0x093 SET_SCALE1_LENGTH length@0+20
"""

COMMANDS_U85 = """
0 0x002 OP_CONV weights_ifm2@0+1
0 0x007 OP_RESIZE resize_mode@0+2/resize_mode
0 0x011 OP_DMA_WAIT k@0+2
0 0x012 OP_KERNEL_WAIT n@0+1
0 0x105 SET_IFM_PRECISION activation_type@0+1/activation_type activation_precision@2+2/activation_precision
    activation_format@6+2/activation_format activation_storage@14+2/activation_storage
0 0x108 SET_IFM_BROADCAST broadcast_mode@0+4/broadcast_mode
0 0x114 SET_OFM_PRECISION activation_type@0+1/activation_type activation_precision@1+2/activation_precision
    activation_format@6+2/activation_format scale_mode@8+1/ofm_scale_mode
    activation_reverse@9+2/activation_reverse activation_transpose@11+3/activation_transpose
    activation_storage@14+2/activation_storage
0 0x115 SET_OFM_BLK_WIDTH_M1 width_m1@0+7
0 0x116 SET_OFM_BLK_HEIGHT_M1 height_m1@0+7
0 0x117 SET_OFM_BLK_DEPTH_M1 depth_m1@0+10
0 0x124 SET_ACC_FORMAT acc_format@0+2/acc_format acc_input@4+2/acc_input acc_output@6+1/acc_output
    microblock@8+3/microblock
0 0x125 SET_ACTIVATION activation_function@0+5/activation_function table@5+3
    activation_clip_range@12+1/activation_clip_range
0 0x12a SET_RESIZE_X_SCALE_N_M1 resize_x_scale_n_m1@0+11
0 0x12b SET_RESIZE_Y_SCALE_N_M1 resize_y_scale_n_m1@0+11
0 0x12c SET_RESIZE_X_OFFSET resize_x_offset@0+12
0 0x12d SET_RESIZE_Y_OFFSET resize_y_offset@0+12
0 0x12e SET_WEIGHT_FORMAT weight_format@0+1/weight_format weight_sparsity@4+1/weight_sparsity
0 0x12f SET_BLOCKDEP blockdep@0+3
0 0x130 SET_DMA0_SRC_REGION region@0+3 region_mode@8+1/dma_region_mode stride_mode@9+2/dma_stride_mode
    idx_mode@11+1/dma_idx_mode
0 0x131 SET_DMA0_DST_REGION region@0+3 region_mode@8+1/dma_region_mode idx_mode@11+1/dma_idx_mode
0 0x134 SET_DMA0_IDX_REGION region@0+3
0 0x180 SET_IFM2_BROADCAST broadcast_mode@0+4/broadcast_mode
0 0x185 SET_IFM2_PRECISION activation_type@0+1/activation_type
    activation_precision@2+2/activation_precision activation_format@6+2/activation_format
    activation_storage@14+2/activation_storage
1 0x024 SET_OFM_SCALE shift@32+6 dbl_rnd@38+5 round_mode@45+3/round_mode_ofm scale@0+31
1 0x025 SET_IFM_SCALE shift@32+6 dbl_rnd@38+5 round_mode@45+1/round_mode_ifm scale@0+31
1 0x026 SET_IFM2_SCALE shift@32+6 dbl_rnd@38+5 round_mode@45+1/round_mode_ifm scale@0+31
1 0x027 SET_OP_SCALAR scalar@0+32
1 0x033 SET_DMA0_SRC_STRIDE0 addr@0+40
1 0x034 SET_DMA0_SRC_STRIDE1 addr@0+40
1 0x035 SET_DMA0_DST_STRIDE0 addr@0+40
1 0x036 SET_DMA0_DST_STRIDE1 addr@0+40
1 0x037 SET_DMA0_IDX addr@0+40
1 0x038 SET_DMA0_IDX_MAX idx_max@0+31
1 0x039 SET_DMA0_IDX_SKIP1 addr@0+40
1 0x092 SET_WEIGHT2_BASE addr@0+40
1 0x093 SET_WEIGHT2_LENGTH length@0+32
1 0x094 SET_WEIGHT3_BASE addr@0+40
1 0x095 SET_WEIGHT3_LENGTH length@0+32
1 0x096 SET_RESIZE_X_STEP one_step_int@32+4 blk_step_int@36+11 one_step_mod@0+11 blk_step_mod@16+11
1 0x097 SET_RESIZE_Y_STEP one_step_int@32+4 blk_step_int@36+11 one_step_mod@0+11 blk_step_mod@16+11
1 0x100 OP_BRANCH branch_cond@32+1/branch_cond branch_target@0+32
"""

ENUMS = """
activation_format 0=nhwc 1=nhcwb16
activation_precision 0=b8 1=b16 2=b32 3=b64
activation_type 0=unsigned 1=signed
dma_region_mode 0=external 1=internal
dma_stride_mode 0=d1 1=d2 2=d3
ifm_upscale_mode 0=none 1=nearest 2=zeros
kernel_decomposition 0=d8x8 1=d4x4
kernel_dilation 0=none 1=x2
ofm_scale_mode 0=per_channel 1=global
weight_order 0=depth_first 1=part_kernel_first
"""

ENUMS_U65 = """
acc_format 0=i32 1=i40 2=f16
activation_clip_range 0=ofm_precision 2=force_uint8 3=force_int8 5=force_int16
activation_function 0=relu 3=tanh 4=sigmoid 16=table_0 17=table_1 18=table_2 19=table_3 20=table_4
    21=table_5 22=table_6 23=table_7
broadcast_mode 0=disable 1=enable
elementwise_mode 0=mul 1=add 2=sub 3=min 4=max 5=lrelu 6=abs 7=clz 8=shr 9=shl
ifm2_operand_order 0=order_b 1=order_a
ifm_scale_mode 0=opa_opb_16 1=opa_32 2=opb_32
parallel_mode 0=single_core 1=dual_core_depth
pooling_mode 0=max 1=average 2=reduce_sum
round_mode 0=dbl 1=truncate 2=natural
"""

ENUMS_U85 = """
acc_format 0=i32 1=i48
acc_input 0=reset 1=keep 2=ifm2
acc_output 0=enable 1=disable
activation_clip_range 0=b16 1=none
activation_function 0=lut_none 1=lut_u8_u8 4=lut_s8_s8 5=lut_s8_s16 7=lut_s8_s32 8=lut_s16_s16
    9=lut_s16_s32 10=lut_tanh 11=lut_sigmoid
activation_reverse 0=none 1=h 2=w 3=c
activation_storage 0=tile2x2 1=tile3x1 2=chained 3=none
activation_transpose 0=hwc 1=whc 2=hcw 3=wch 6=chw 7=cwh
branch_cond 0=always 1=rf_true
broadcast_mode 0=none 1=h 2=w 3=hw 4=c 5=ch 6=cw 7=cwh 8=scalar
dma_idx_mode 0=disabled 1=enabled
elementwise_mode 0=mul 1=add 2=sub 3=min 4=max 5=lrelu 6=abs 7=clz 8=shr 9=shl 10=lsr 11=div 16=cmp_eq
    17=cmp_ne 18=cmp_ge 19=cmp_gt 33=and 34=or 35=xor 36=not 42=and_not
microblock 0=u1x1 1=u1x2 2=u1x4 3=u2x2 4=u2x4 5=u4x4
pooling_mode 0=max 1=average 2=reduce_sum 3=sum 4=none 5=min 6=argmax_x 7=argmax_y
resize_mode 0=bilinear 1=replicate 2=nearest
round_mode_ifm 0=double_symmetric 1=natural
round_mode_ofm 0=double_symmetric 1=natural 2=double_asymmetric 3=symmetric 4=truncate_to_zero
    5=truncate_to_lower
weight_format 0=swd 1=fwd
weight_sparsity 0=none 1=sparse_2_4
"""
