"""Elementwise kernels of firmware/kernels/mve."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING, cast

import numpy as np

from mcu_build.codegen.packing_mve import Ints
from mcu_build.ir.plan import Params, Step, Value

if TYPE_CHECKING:
    from mcu_build.plan.specialize import Context

_POINTS = (22, 21)  # of mve_add.h: the finest, then what leaves larger sums room
_NEIGHBOURS = sorted(product(range(-4, 5), repeat=2), key=lambda pair: abs(pair[0]) + abs(pair[1]))
_HEADROOM = 20  # of add.h
_MOST = 1 << 31
_FARTHEST = 31
_LANES = 4  # of mve_mul.h
_SOFTMAX = 64  # elements from which on it is worth more flash
_SCALES = (2.0**-100, 2.0**100)  # of mve_quantize.h

Numbers = Mapping[str, int]


def add(context: "Context", step: Step) -> Step | None:
    """add_s8 of two dense operands, where factors are found that give every sum exactly."""
    assert step.params is not None
    members = step.params.members
    walk, stage = cast(Mapping[str, tuple[int, ...]], members["walk"]), _numbers(members["stage"])
    dense = tuple(prod(walk["shape"][i + 1 :]) for i in range(6))
    for name in ("first", "second"):
        if any(
            n > 1 and have != want for n, have, want in zip(walk["shape"], walk[name], dense, strict=True)
        ):
            return None
    shifts = [_numbers(members[name])["shift"] for name in ("first", "second")]
    # Further shifts, and those to the left, wrap in add.h; no network has them.
    if any(not -_FARTHEST <= shift <= 0 for shift in (*shifts, cast(int, members["shift"]))):
        return None
    if (stage["activation_min"], stage["activation_max"]) != (-128, 127):
        return None
    found = _factors(members)
    if found is None:
        return None
    point, first, second, addend = found
    params: dict[str, Value] = {
        "count": prod(walk["shape"]),
        "first_factor": first,
        "second_factor": second,
        "addend": addend,
        "left": 24 - point,
    }
    return replace(step, kernel="mve_add_s8", source="mve_add", params=Params("MveAddParams", params))


def mul(context: "Context", step: Step) -> Step | None:
    """mul_s8 of lines that are dense or one value."""
    assert step.params is not None
    members = step.params.members
    walk = cast(Mapping[str, tuple[int, ...]], members["walk"])
    stage = _numbers(members["stage"])
    if (stage["activation_min"], stage["activation_max"]) != (-128, 127):
        return None
    steps = {walk["first"][-1], walk["second"][-1]}
    # Products have 16 bits.
    if walk["shape"][-1] < _LANES or not steps <= {0, 1} or not -31 <= cast(int, members["shift"]) <= 15:
        return None
    return replace(step, kernel="mve_mul_s8", source="mve_mul")


def quantize(context: "Context", step: Step) -> Step | None:
    """quantize_f32_s8 of a scale for which no tiny float matters."""
    return _border(step, "inverse_scale")


def dequantize(context: "Context", step: Step) -> Step | None:
    """dequantize_s8_f32 to floats none of which is tiny."""
    return _border(step, "scale")


def _border(step: Step, scale: str) -> Step | None:
    assert step.params is not None
    if not _SCALES[0] <= cast(float, step.params.members[scale]) <= _SCALES[1]:
        return None
    return replace(step, kernel=f"mve_{step.kernel}", source="mve_quantize")


def _numbers(value: Value) -> Numbers:
    return cast(Numbers, value)


def _factors(members: Mapping[str, Value]) -> tuple[int, int, int, int] | None:
    """Point, factors and addend of mve_add.h that give add.h's sum for all pairs of values.

    For a pair of factors the addends that do are an interval: each wanted value says how far the sum may
    lie from it, a clamped one to one side only.
    """
    values = np.arange(-128, 128, dtype=np.int64)
    wanted = _sums(members, values[:, None], values[None, :])
    if wanted is None:
        return None
    outer = _real(members) * 2.0**_HEADROOM
    exact = [outer * _real(_numbers(members[name])) for name in ("first", "second")]
    for point, (da, db) in product(_POINTS, _NEIGHBOURS):
        first, second = round(exact[0] * 2**point) + da, round(exact[1] * 2**point) + db
        sums = values[:, None] * first + values[None, :] * second
        least = ((wanted << point) - sums)[wanted > -128].max(initial=-_MOST)
        below = (((wanted + 1) << point) - sums)[wanted < 127].min(initial=_MOST)
        addend = int(least + below) // 2
        if least < below and np.abs(sums + addend).max() < _MOST:
            return point, first, second, addend
    return None


def _real(members: Mapping[str, Value]) -> float:
    multiplier, shift = cast(int, members["multiplier"]), cast(int, members["shift"])
    return float(multiplier) * 2.0 ** (shift - 31)


def _sums(members: Mapping[str, Value], first: Ints, second: Ints) -> Ints | None:
    """add.h: the output for each pair of values; None where a sum wraps."""
    total = _fixed(members["first"], first) + _fixed(members["second"], second)
    if np.abs(total).max() >= _MOST:
        return None
    scaled = _requantize(total, cast(Numbers, members))
    return np.clip(scaled + _numbers(members["stage"])["zero_point"], -128, 127)


def _fixed(operand: Value, values: Ints) -> Ints:
    numbers = _numbers(operand)
    return _requantize((values - numbers["zero_point"]) << _HEADROOM, numbers)


def _requantize(values: Ints, by: Numbers) -> Ints:
    """requantize.h, for values of 32 bits and shifts to the right."""
    high = (values * by["multiplier"] + (1 << 30)) >> 31
    right = -by["shift"]
    if right == 0:
        return high
    magnitude = (np.abs(high) + (1 << (right - 1))) >> right  # ties away from zero
    return np.where(high < 0, -magnitude, magnitude)


def softmax(context: "Context", step: Step) -> Step | None:
    """softmax_s8 along the innermost dimension, of more than the few classes of a net's end."""
    assert step.params is not None
    outer, axis, inner = (cast(int, step.params.members[name]) for name in ("outer", "axis", "inner"))
    if inner != 1 or outer * axis < _SOFTMAX or context.optimize == "size":
        return None
    return replace(step, kernel="mve_softmax_s8", source="mve_softmax")
