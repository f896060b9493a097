"""Sums and averages by firmware/kernels/dsp."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from mcu_build.plan.ir import Params, Step, Value
from mcu_build.plan.specialize import mve_elementwise
from mcu_build.plan.specialize.dsp_rescale import numbers

if TYPE_CHECKING:
    from mcu_build.plan.specialize import Context

_MOST_PIXELS = 255  # of which a sum of int8 fits 16 bits


def add(context: "Context", step: Step) -> Step | None:
    """add_s8 of two dense operands, with the factors that Helium's kernel takes too."""
    found = mve_elementwise.add(context, step)
    if found is None:
        return None
    assert found.params is not None
    members = dict(found.params.members)
    point = 24 - cast(int, members.pop("left"))
    params = Params("DspAddParams", members)
    return replace(found, kernel=f"dsp_add_{point}_s8", source="dsp_add", params=params)


def average(context: "Context", step: Step) -> Step | None:
    """avg_pool2d_s8 of windows that are not too large, channels by fours."""
    assert step.params is not None
    size = numbers(cast(Mapping[str, Value], step.params.members["window"])["size"])
    channels = numbers(step.params.members["input"])["channels"]
    if size["y"] * size["x"] > _MOST_PIXELS or channels % 4:
        return None
    return replace(step, kernel="dsp_avg_pool2d_s8", source="dsp_pool")
