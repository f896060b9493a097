"""Steps for firmware/kernels/mve."""

from mcu_build.ir.calls.boundary import Dequantize, Quantize
from mcu_build.ir.calls.convolution import Conv2d, DepthwiseConv2d, TransposeConv2d
from mcu_build.ir.calls.int8 import Norm, Recurrent, Resample, Softmax
from mcu_build.ir.calls.int16 import Conv2dS16, LinearS16
from mcu_build.ir.calls.matmul import BatchMatmul, Linear
from mcu_build.ir.calls.pairs import Add, Mul
from mcu_build.ir.calls.pooling import AvgPool2d, MaxPool2d
from mcu_build.plan.specialize import (
    int16,
    mve_depthwise,
    mve_depthwise_pixels,
    mve_elementwise,
    mve_grouped,
    mve_linear,
    mve_pool,
    mve_tiles,
    mve_transposed,
    norms,
    resampling,
)
from mcu_build.plan.specialize.context import Priced, Rule, Table

TABLE: Table = (
    Rule(LinearS16, int16.mve),
    Rule(Conv2dS16, int16.mve),
    Rule(AvgPool2d, mve_pool.average),
    Rule(Resample, resampling.mve),
    Rule(Norm, norms.mve),
    Rule(MaxPool2d, mve_pool.maximum),
    Rule(Quantize, mve_elementwise.quantize),
    Rule(Dequantize, mve_elementwise.dequantize),
    Rule(Mul, mve_elementwise.mul),
    Rule(Add, mve_elementwise.add),
    Rule(Softmax, mve_elementwise.softmax),
    # mve/recurrent.cpp takes the program's weights: no other folder is asked.
    Rule(Recurrent, lambda _, step, __: step),
    Priced(Linear, mve_linear.linear),
    Rule(BatchMatmul, mve_linear.product),
    Priced(Conv2d, mve_tiles.conv2d),
    Priced(Conv2d, mve_grouped.conv2d),
    Priced(TransposeConv2d, mve_transposed.side_by_side),
    Priced(TransposeConv2d, mve_transposed.transposed),
    Priced(DepthwiseConv2d, mve_tiles.one_channel),
    Priced(DepthwiseConv2d, mve_depthwise.windows),
    Priced(DepthwiseConv2d, mve_depthwise_pixels.pixels),
)
