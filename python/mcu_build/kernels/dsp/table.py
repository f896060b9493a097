"""Steps for firmware/kernels/dsp."""

from mcu_build.ir.calls.convolution import Conv2d, DepthwiseConv2d, TransposeConv2d
from mcu_build.ir.calls.int4 import LinearW4
from mcu_build.ir.calls.int8 import Gru, Lstm, Norm, Resample, Rnn, Softmax
from mcu_build.ir.calls.int16 import Conv2dS16, LinearS16, NormS16
from mcu_build.ir.calls.matmul import BatchMatmul, Linear
from mcu_build.ir.calls.pairs import Add, Mul
from mcu_build.ir.calls.pooling import AvgPool2d, MaxPool2d
from mcu_build.kernels import int4, int16, norms, resampling
from mcu_build.kernels.context import Priced, Rule, Table
from mcu_build.kernels.dsp import (
    convolution,
    depthwise,
    depthwise_rows,
    elementwise,
    linear,
    matmul,
    recurrent,
    taps,
)

TABLE: Table = (
    Rule(LinearS16, int16.dsp),
    Rule(Conv2dS16, int16.dsp),
    Rule(LinearW4, int4.dsp),
    Rule(Add, elementwise.add),
    Rule(Mul, elementwise.mul),
    Rule(Softmax, elementwise.softmax),
    Rule(AvgPool2d, elementwise.average),
    Rule(Resample, resampling.dsp),
    Rule(Norm, norms.dsp),
    Rule(NormS16, norms.dsp),
    Rule(MaxPool2d, elementwise.maximum),
    Rule(BatchMatmul, matmul.batch_matmul),
    Priced(Linear, linear.linear),
    Rule(Lstm, recurrent.layer),
    Rule(Gru, recurrent.layer),
    Rule(Rnn, recurrent.layer),
    Priced(Conv2d, convolution.conv2d),
    Priced(Conv2d, depthwise_rows.conv2d),
    Priced(Conv2d, taps.conv2d),
    Priced(DepthwiseConv2d, convolution.one_channel),
    Priced(DepthwiseConv2d, depthwise.depthwise),
    Priced(DepthwiseConv2d, depthwise_rows.depthwise),
    Priced(DepthwiseConv2d, taps.depthwise),
    Rule(TransposeConv2d, taps.transpose),
)
