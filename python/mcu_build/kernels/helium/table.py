"""Steps for firmware/kernels/mve."""

from mcu_build.ir.calls.boundary import Dequantize, Quantize
from mcu_build.ir.calls.convolution import Conv2d, DepthwiseConv2d, TransposeConv2d
from mcu_build.ir.calls.int4 import LinearW4
from mcu_build.ir.calls.int8 import Norm, Recurrent, Resample, Softmax
from mcu_build.ir.calls.int16 import Conv2dS16, LinearS16, NormS16
from mcu_build.ir.calls.matmul import BatchMatmul, Linear
from mcu_build.ir.calls.pairs import Add, Mul
from mcu_build.ir.calls.pooling import AvgPool2d, MaxPool2d
from mcu_build.kernels import int4, int16, norms, resampling
from mcu_build.kernels.context import Priced, Rule, Table
from mcu_build.kernels.helium import (
    convolution,
    depthwise,
    depthwise_lanes,
    elementwise,
    grouped,
    linear,
    pools,
    recurrent,
    transposed,
)

TABLE: Table = (
    Rule(LinearS16, int16.mve),
    Rule(Conv2dS16, int16.mve),
    Rule(LinearW4, int4.mve),
    Rule(AvgPool2d, pools.average),
    Rule(Resample, resampling.mve),
    Rule(Norm, norms.mve),
    Rule(NormS16, norms.mve),
    Rule(MaxPool2d, pools.maximum),
    Rule(Quantize, elementwise.quantize),
    Rule(Dequantize, elementwise.dequantize),
    Rule(Mul, elementwise.mul),
    Rule(Add, elementwise.add),
    Rule(Softmax, elementwise.softmax),
    Rule(Recurrent, recurrent.layer),
    Priced(Linear, linear.linear),
    Rule(BatchMatmul, linear.product),
    Priced(Conv2d, convolution.conv2d),
    Priced(Conv2d, grouped.conv2d),
    Priced(TransposeConv2d, transposed.side_by_side),
    Priced(TransposeConv2d, transposed.transposed),
    Priced(DepthwiseConv2d, convolution.one_channel),
    Priced(DepthwiseConv2d, depthwise.windows),
    Priced(DepthwiseConv2d, depthwise_lanes.lanes),
)
