"""Steps for firmware/kernels/thumb, and for thumb2, which only Armv7-M runs."""

from functools import partial

from mcu_build.ir.calls.convolution import Conv2d, DepthwiseConv2d
from mcu_build.ir.calls.int8 import Resample
from mcu_build.ir.calls.matmul import Linear
from mcu_build.ir.calls.pairs import Add
from mcu_build.kernels import resampling
from mcu_build.kernels.context import Priced, Rule, Table
from mcu_build.kernels.thumb import convolution, depthwise, layers


def _emitted(thumb2: bool) -> Table:
    return (
        Priced(Conv2d, partial(convolution.conv2d, thumb2=thumb2)),
        Priced(DepthwiseConv2d, partial(depthwise.depthwise, thumb2=thumb2)),
        Priced(DepthwiseConv2d, partial(convolution.depthwise, thumb2=thumb2)),
        Priced(Linear, partial(layers.linear, thumb2=thumb2)),
    )


TABLE: Table = (Rule(Add, layers.add), Rule(Resample, resampling.thumb), *_emitted(thumb2=False))

TABLE_2: Table = _emitted(thumb2=True)
