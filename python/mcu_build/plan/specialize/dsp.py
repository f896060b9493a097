"""Steps for firmware/kernels/dsp."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mcu_build.plan.specialize import (
    dsp_conv,
    dsp_depthwise,
    dsp_elementwise,
    dsp_linear,
    dsp_matmul,
    dsp_taps,
)

if TYPE_CHECKING:
    from mcu_build.plan.specialize import Specializer

TABLE: "Mapping[str, tuple[Specializer, ...]]" = {
    "add_s8": (dsp_elementwise.add,),
    "avg_pool2d_s8": (dsp_elementwise.average,),
    "batch_matmul_s8": (dsp_matmul.batch_matmul,),
    "conv2d_s8": (dsp_conv.conv2d, dsp_taps.conv2d),
    "depthwise_conv2d_s8": (dsp_conv.one_channel, dsp_depthwise.depthwise, dsp_taps.depthwise),
    "linear_s8": (dsp_linear.linear,),
    "max_pool2d_s8": (dsp_elementwise.maximum,),
    "transpose_conv2d_s8": (dsp_taps.transpose,),
    "mul_s8": (dsp_elementwise.mul,),
}
