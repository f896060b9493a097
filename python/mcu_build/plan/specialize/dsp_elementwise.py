"""Sums, products and pools by firmware/kernels/dsp."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from mcu_build.ir.plan import Params, Step, Value
from mcu_build.plan.specialize import mve_elementwise
from mcu_build.plan.specialize.dsp_rescale import numbers, one_scale

if TYPE_CHECKING:
    from mcu_build.plan.specialize import Context

_MOST_PIXELS = 255  # of which a sum of int8 fits 16 bits
_LEAST_CHANNELS = 4
_LARGEST_PRODUCT = 255 * 255


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


def mul(context: "Context", step: Step) -> Step | None:
    """mul_s8."""
    assert step.params is not None
    members = step.params.members
    scale = one_scale(members, _LARGEST_PRODUCT)
    if scale is None:
        return None
    params: dict[str, Value] = {
        "walk": members["walk"],
        "first_zero": members["first_zero_point"],
        "second_zero": members["second_zero_point"],
        "scale": scale,
    }
    return replace(step, kernel="dsp_mul_s8", source="dsp_mul", params=Params("DspMulParams", params))


def average(context: "Context", step: Step) -> Step | None:
    """avg_pool2d_s8 of windows that are not too large."""
    made = _pool(step)
    if made is None or made.params is None:
        return None
    size = numbers(cast(Mapping[str, Value], made.params.members["window"])["size"])
    return made if size["y"] * size["x"] <= _MOST_PIXELS else None


def maximum(context: "Context", step: Step) -> Step | None:
    """max_pool2d_s8."""
    return _pool(step)


def _pool(step: Step) -> Step | None:
    """A pool of four channels at least by dsp_pool. Columns that no window joins are as good as channels."""
    assert step.params is not None
    members = dict(step.params.members)
    if (
        _is_column(cast(Mapping[str, Value], members["window"]))
        and numbers(members["input"])["channels"] == 1
    ):
        for name in ("input", "output"):
            size = numbers(members[name])
            members[name] = {**size, "width": 1, "channels": size["width"]}
    if numbers(members["input"])["channels"] < _LEAST_CHANNELS:
        return None
    params = Params(step.params.type, members)
    return replace(step, kernel=f"dsp_{step.kernel}", source="dsp_pool", params=params)


def _is_column(window: Mapping[str, Value]) -> bool:
    """Whether a window is one pixel wide and moves from each column to the next."""
    size, stride, padding = (numbers(window[name])["x"] for name in ("size", "stride", "padding"))
    return (size, stride, padding) == (1, 1, 0)
