"""Pooling over an input map whose zero point is subtracted already."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_build.npu.arithmetic import divide_half_away
from mcu_build.npu.commands import CommandError
from mcu_build.npu.convolution import WORK_LIMIT, Padding, Window, taps

Array = NDArray[Any]

_LEAST = -(1 << 40)


def maximum(values: Array, window: Window, padding: Padding, rows: int, columns: int) -> Array:
    """The largest value of each window; padding does not count."""
    view = taps(padding.around(values.astype(np.int64), _LEAST), window, rows, columns)
    return _fold(np.maximum, view)


def total(values: Array, window: Window, padding: Padding, rows: int, columns: int) -> Array:
    """The sum of each window."""
    return _fold(np.add, taps(padding.around(values.astype(np.int64)), window, rows, columns))


def mean_of_valid(values: Array, window: Window, padding: Padding, rows: int, columns: int) -> Array:
    """The mean of each window's values that are no padding, halves away from zero."""
    counts = total(np.ones((*values.shape[:2], 1), np.int64), window, padding, rows, columns)
    if not counts.all():
        raise CommandError("a pooling window lies in the padding alone")
    return divide_half_away(total(values, window, padding, rows, columns), counts)


def channel_sum(values: Array) -> Array:
    """The sum over channels: (height, width, 1)."""
    return np.asarray(values.astype(np.int64).sum(axis=2, keepdims=True))


def place_of_maximum(values: Array, window: Window, rows: int, columns: int) -> Array:
    """Where in each window of one row its largest value lies, the first of several, times 2**16.

    The NPU keeps the value in the low half; what it looks like there no result of Vela's shows.
    """
    view = taps(values.astype(np.int64), window, rows, columns)[..., 0, :]
    _check_work(view)
    return np.asarray(view.argmax(axis=-1).astype(np.int64) << 16)


def _fold(combine: Any, view: NDArray[Any]) -> Array:
    """All places of a window into one, first down, then across, one at a time."""
    _check_work(view)
    height, width = view.shape[3:]
    result: Array = view[..., 0, 0].copy()
    for y in range(height):
        for x in range(width):
            if y or x:
                combine(result, view[..., y, x], out=result)
    return result


def _check_work(view: NDArray[Any]) -> None:
    if math.prod(view.shape) > WORK_LIMIT:
        raise CommandError(f"a pooling window of {'x'.join(map(str, view.shape[3:]))}")
