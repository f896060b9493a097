"""Resizing on U85: each output lies at (index * step + offset) / scale of the input."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# The interpolated sums are handed on with 16 bits below the point.
_FRACTION = 16


@dataclass(frozen=True)
class Axis:
    """One direction: outputs, and what gives the place of each on the input."""

    count: int
    scale: int
    step: int
    offset: int

    def places(self) -> tuple[Array, Array]:
        """Whole part and remainder (0 to scale - 1) of each output's place."""
        place = np.arange(self.count) * self.step + self.offset
        return place // self.scale, place % self.scale


def nearest(values: Array, rows: Axis, columns: Axis) -> Array:
    """The nearest input, the later one where two are as near."""
    ys, xs = (_nearest_index(axis, size) for axis, size in zip((rows, columns), values.shape, strict=False))
    return np.asarray(values.astype(np.int64)[ys[:, None], xs[None, :]] << _FRACTION)


def bilinear(values: Array, rows: Axis, columns: Axis) -> Array:
    """Sums weighted with the distances to the four inputs around, times both scales."""
    wide = values.astype(np.int64)
    between = _interpolate(wide, rows, 0)
    return _interpolate(between, columns, 1) << _FRACTION


def _nearest_index(axis: Axis, size: int) -> Array:
    whole, rest = axis.places()
    return np.asarray(np.clip(whole + (2 * rest >= axis.scale), 0, size - 1))


def _interpolate(values: Array, axis: Axis, dimension: int) -> Array:
    whole, rest = axis.places()
    last = values.shape[dimension] - 1
    weight = rest.reshape((-1, 1, 1) if dimension == 0 else (1, -1, 1))
    first = values.take(np.clip(whole, 0, last), dimension)
    second = values.take(np.clip(whole + 1, 0, last), dimension)
    return np.asarray(first * (axis.scale - weight) + second * weight)
