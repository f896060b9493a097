"""Steps for firmware/kernels/thumb, and for thumb2, which only Armv7-M runs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mcu_build.plan.specialize import thumb_conv, thumb_layers

if TYPE_CHECKING:
    from mcu_build.plan.specialize import Specializer

TABLE: "Mapping[str, tuple[Specializer, ...]]" = {
    "add_s8": (thumb_layers.add,),
    "conv2d_s8": (thumb_conv.conv2d,),
    "depthwise_conv2d_s8": (thumb_conv.one_channel, thumb_layers.depthwise),
    "linear_s8": (thumb_layers.linear,),
}

TABLE_2: "Mapping[str, tuple[Specializer, ...]]" = {"linear_s8": (thumb_layers.linear_pairs,)}
