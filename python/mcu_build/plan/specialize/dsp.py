"""Steps for firmware/kernels/dsp."""

from mcu_build.ir.calls.convolution import Conv2d, DepthwiseConv2d, TransposeConv2d
from mcu_build.ir.calls.int8 import Gru, Lstm, Norm, Resample, Rnn
from mcu_build.ir.calls.int16 import Conv2dS16, LinearS16
from mcu_build.ir.calls.matmul import BatchMatmul, Linear
from mcu_build.ir.calls.pairs import Add, Mul
from mcu_build.ir.calls.pooling import AvgPool2d, MaxPool2d
from mcu_build.plan.specialize import (
    dsp_conv,
    dsp_depthwise,
    dsp_depthwise_rows,
    dsp_elementwise,
    dsp_linear,
    dsp_matmul,
    dsp_recurrent,
    dsp_taps,
    int16,
    norms,
    resampling,
)
from mcu_build.plan.specialize.context import Priced, Rule, Table

TABLE: Table = (
    Rule(LinearS16, int16.dsp),
    Rule(Conv2dS16, int16.dsp),
    Rule(Add, dsp_elementwise.add),
    Rule(Mul, dsp_elementwise.mul),
    Rule(AvgPool2d, dsp_elementwise.average),
    Rule(Resample, resampling.dsp),
    Rule(Norm, norms.dsp),
    Rule(MaxPool2d, dsp_elementwise.maximum),
    Rule(BatchMatmul, dsp_matmul.batch_matmul),
    Priced(Linear, dsp_linear.linear),
    Rule(Lstm, dsp_recurrent.layer),
    Rule(Gru, dsp_recurrent.layer),
    Rule(Rnn, dsp_recurrent.layer),
    Priced(Conv2d, dsp_conv.conv2d),
    Priced(Conv2d, dsp_depthwise_rows.conv2d),
    Priced(Conv2d, dsp_taps.conv2d),
    Priced(DepthwiseConv2d, dsp_conv.one_channel),
    Priced(DepthwiseConv2d, dsp_depthwise.depthwise),
    Priced(DepthwiseConv2d, dsp_depthwise_rows.depthwise),
    Priced(DepthwiseConv2d, dsp_taps.depthwise),
    Rule(TransposeConv2d, dsp_taps.transpose),
)
