"""Pooling by firmware/kernels/mve."""

from dataclasses import replace

from mcu_build.ir.calls.pooling import AvgPool2d, MaxPool2d
from mcu_build.ir.plan import Step
from mcu_build.kernels.context import Context
from mcu_build.kernels.pools import MOST_PIXELS, columns_as_channels


def maximum(context: Context, step: Step, call: MaxPool2d) -> Step | None:
    """Any windows."""
    params = columns_as_channels(call.params)
    return replace(step, kernel="mve_max_pool2d_s8", source="mve_pool", params=params)


def average(context: Context, step: Step, call: AvgPool2d) -> Step | None:
    """Windows that are not too large."""
    if call.params.window.size.product > MOST_PIXELS:
        return None
    params = columns_as_channels(call.params)
    return replace(step, kernel="mve_avg_pool2d_s8", source="mve_pool", params=params)
