"""Pooling by firmware/kernels/mve."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from mcu_build.ir.plan import Step, Value
from mcu_build.plan.specialize.mve_conv import numbers

if TYPE_CHECKING:
    from mcu_build.plan.specialize import Context

_MOST_PIXELS = 255  # of which a sum of int8 fits 16 bits


def maximum(context: "Context", step: Step) -> Step | None:
    """max_pool2d_s8."""
    return replace(step, kernel="mve_max_pool2d_s8", source="mve_pool")


def average(context: "Context", step: Step) -> Step | None:
    """avg_pool2d_s8 of windows that are not too large."""
    assert step.params is not None
    size = numbers(cast(Mapping[str, Value], step.params.members["window"])["size"])
    if size["y"] * size["x"] > _MOST_PIXELS:
        return None
    return replace(step, kernel="mve_avg_pool2d_s8", source="mve_pool")
