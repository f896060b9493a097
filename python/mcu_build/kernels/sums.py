"""Factors with which kernels of several cores add int8 elements exactly (mve_add.h, dsp_add.h)."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from mcu_build.ir.arithmetic import requantize
from mcu_build.ir.calls.pairs import HEADROOM, Add, AddOperand, AddParams

Ints = np.ndarray[Any, np.dtype[np.int64]]

_POINTS = (22, 21)  # of mve_add.h: the finest, then what leaves larger sums room
_NEIGHBOURS = sorted(product(range(-4, 5), repeat=2), key=lambda pair: abs(pair[0]) + abs(pair[1]))
_MOST = 1 << 31
_FAR = 1 << 40  # beyond every sum
_FARTHEST = 31


@dataclass(frozen=True)
class Factors:
    """(first * a + second * b + addend) >> point, for elements a and b."""

    point: int
    first: int
    second: int
    addend: int


def factors(call: Add, most: int = _MOST) -> Factors | None:
    """Those below `most` that give add.h's sum for all pairs of values; None where there are none.

    For a pair of factors the addends that do are an interval: each wanted value says how far the sum may
    lie from it, a clamped one to one side only.
    """
    params = call.params
    # Further shifts, and those to the left, wrap in add.h; no network has them.
    shifts = (params.first.shift, params.second.shift, params.shift)
    near = all(-_FARTHEST <= shift <= 0 for shift in shifts)
    if not near or not params.epilogue.is_whole:
        return None
    values = np.arange(-128, 128, dtype=np.int64)
    wanted = _sums(params, values[:, None], values[None, :])
    if wanted is None:
        return None
    outer = _real(params.multiplier, params.shift) * 2.0**HEADROOM
    exact = [outer * _real(operand.multiplier, operand.shift) for operand in (params.first, params.second)]
    for point in _POINTS:
        # A clamped output says nothing about the other side.
        low = np.where(wanted > -128, wanted << point, -_FAR)
        high = np.where(wanted < 127, (wanted + 1) << point, _FAR)
        for da, db in _NEIGHBOURS:
            first, second = round(exact[0] * 2**point) + da, round(exact[1] * 2**point) + db
            sums = values[:, None] * first + values[None, :] * second
            least = max(int((low - sums).max()), -_MOST)
            below = min(int((high - sums).min()), _MOST)
            addend = (least + below) // 2
            corners = sums[np.ix_([0, -1], [0, -1])]
            small = max(abs(first), abs(second)) < most
            if least < below and np.abs(corners + addend).max() < _MOST and small:
                return Factors(point, first, second, addend)
    return None


def _real(multiplier: int, shift: int) -> float:
    return float(multiplier) * 2.0 ** (shift - 31)


def _sums(params: AddParams, first: Ints, second: Ints) -> Ints | None:
    """add.h: the output for each pair of values; None where a sum wraps."""
    total = _fixed(params.first, first) + _fixed(params.second, second)
    if np.abs(total).max() >= _MOST:
        return None
    return np.clip(requantize(total, params.multiplier, params.shift) + params.epilogue.zero_point, -128, 127)


def _fixed(operand: AddOperand, values: Ints) -> Ints:
    return requantize((values - operand.zero_point) << HEADROOM, operand.multiplier, operand.shift)
