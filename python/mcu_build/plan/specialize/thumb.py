"""Steps for firmware/kernels/thumb, and for thumb2, which only Armv7-M runs."""

from mcu_build.ir.calls.convolution import Conv2d, DepthwiseConv2d
from mcu_build.ir.calls.matmul import Linear
from mcu_build.ir.calls.pairs import Add
from mcu_build.plan.specialize import thumb_conv, thumb_layers
from mcu_build.plan.specialize.context import Rule, Table

TABLE: Table = (
    Rule(Add, thumb_layers.add),
    Rule(Conv2d, thumb_conv.conv2d),
    Rule(DepthwiseConv2d, thumb_conv.one_channel),
    Rule(DepthwiseConv2d, thumb_layers.depthwise),
    Rule(Linear, thumb_layers.linear),
)

TABLE_2: Table = (Rule(Linear, thumb_layers.linear_pairs),)
