"""Steps for firmware/kernels/mve."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mcu_build.plan.specialize import mve_conv, mve_depthwise

if TYPE_CHECKING:
    from mcu_build.plan.specialize import Specializer

TABLE: "Mapping[str, tuple[Specializer, ...]]" = {
    "conv2d_s8": (mve_conv.conv2d,),
    "depthwise_conv2d_s8": (mve_conv.one_channel, mve_depthwise.depthwise),
}
