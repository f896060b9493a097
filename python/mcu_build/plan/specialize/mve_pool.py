"""Pooling by firmware/kernels/mve."""

from dataclasses import replace

from mcu_build.ir.calls.pooling import AvgPool2d, MaxPool2d
from mcu_build.ir.plan import Step
from mcu_build.plan.specialize.context import Context

_MOST_PIXELS = 255  # of which a sum of int8 fits 16 bits


def maximum(context: Context, step: Step, call: MaxPool2d) -> Step | None:
    """Any windows."""
    return replace(step, kernel="mve_max_pool2d_s8", source="mve_pool")


def average(context: Context, step: Step, call: AvgPool2d) -> Step | None:
    """Windows that are not too large."""
    if call.params.window.size.product > _MOST_PIXELS:
        return None
    return replace(step, kernel="mve_avg_pool2d_s8", source="mve_pool")
