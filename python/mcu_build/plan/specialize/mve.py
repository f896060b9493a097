"""Steps for firmware/kernels/mve."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mcu_build.plan.specialize import mve_conv, mve_depthwise, mve_elementwise, mve_linear, mve_pool

if TYPE_CHECKING:
    from mcu_build.plan.specialize import Specializer

TABLE: "Mapping[str, tuple[Specializer, ...]]" = {
    "avg_pool2d_s8": (mve_pool.average,),
    "max_pool2d_s8": (mve_pool.maximum,),
    "quantize_f32_s8": (mve_elementwise.quantize,),
    "dequantize_s8_f32": (mve_elementwise.dequantize,),
    "mul_s8": (mve_elementwise.mul,),
    "add_s8": (mve_elementwise.add,),
    "softmax_s8": (mve_elementwise.softmax,),
    "linear_s8": (mve_linear.linear,),
    "batch_matmul_s8": (mve_linear.product,),
    "conv2d_s8": (mve_conv.conv2d,),
    "transpose_conv2d_s8": (mve_conv.side_by_side,),
    "depthwise_conv2d_s8": (mve_conv.one_channel, mve_depthwise.depthwise),
}
