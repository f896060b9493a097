"""Convolutions over an input map whose zero point is subtracted already."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_build.npu.arithmetic import bounds
from mcu_build.npu.commands import CommandError

Array = NDArray[Any]

# Bytes of patches that are laid out at once.
_PATCH_BYTES = 1 << 25
# Multiplications of one operation; an operation with more is broken.
WORK_LIMIT = 1 << 34


@dataclass(frozen=True)
class Window:
    """A kernel's place on the input: sizes before dilation, all (vertical, horizontal)."""

    size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]

    @property
    def reach(self) -> tuple[int, int]:
        """Size with dilation."""
        return tuple((n - 1) * d + 1 for n, d in zip(self.size, self.dilation, strict=True))  # type: ignore[return-value]


@dataclass(frozen=True)
class Padding:
    """Rows and columns that are added around the input."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def any(self) -> bool:
        """Whether there are some."""
        return bool(self.top or self.left or self.bottom or self.right)

    def around(self, values: Array, fill: int = 0) -> Array:
        """`values` (height, width, depth) with the padding."""
        if not self.any:
            return values
        sides = ((self.top, self.bottom), (self.left, self.right), (0, 0))
        return np.pad(values, sides, constant_values=fill)


def taps(values: Array, window: Window, rows: int, columns: int) -> NDArray[Any]:
    """A view (rows, columns, depth, kernel height, kernel width) of a padded input: all windows."""
    (high, wide), (down, right) = window.dilation, window.stride
    step_y, step_x, step_c = values.strides
    shape = (rows, columns, values.shape[2], *window.size)
    strides = (step_y * down, step_x * right, step_c, step_y * high, step_x * wide)
    return np.lib.stride_tricks.as_strided(values, shape, strides, writeable=False)


def convolve(values: Array, weights: Array, window: Window, rows: int, columns: int) -> Array:
    """Sums (rows, columns, output) of a padded input with weights [output, height, width, input]."""
    outputs, terms = weights.shape[0], weights[0].size
    _check_work(rows * columns * outputs * terms)
    kind = _exact_type(bounds(values) * bounds(weights) * terms)
    matrix = weights.reshape(outputs, terms).T.astype(kind)
    view = taps(values.astype(kind), window, rows, columns).transpose(0, 1, 3, 4, 2)
    result = np.empty((rows, columns, outputs), np.int64)
    step = max(1, _PATCH_BYTES // (columns * terms * 8))
    for start in range(0, rows, step):
        part = view[start : start + step]
        patches = part.reshape(-1, terms)
        result[start : start + step] = (patches @ matrix).reshape(*part.shape[:2], outputs)
    return result


def convolve_depthwise(values: Array, weights: Array, window: Window, rows: int, columns: int) -> Array:
    """Sums (rows, columns, depth) of a padded input with weights [depth, height, width, 1]."""
    height, width = window.size
    depth = weights.shape[0]
    _check_work(rows * columns * depth * height * width)
    narrow = bounds(values) * bounds(weights) * height * width < 1 << 31
    kind = np.int32 if narrow else np.int64
    view = taps(values.astype(kind), window, rows, columns)
    factors = weights.astype(kind)
    result: Array = np.zeros((rows, columns, depth), kind)
    for y in range(height):
        for x in range(width):
            result += view[..., y, x] * factors[:, y, x, 0]
    return result.astype(np.int64)


def _check_work(multiplications: int) -> None:
    if multiplications > WORK_LIMIT:
        raise CommandError(f"an operation of {multiplications} multiplications")


def _exact_type(largest: int) -> type[np.floating[Any]] | type[np.int64]:
    """The type whose sums are exact: the floats, whose products are fast, where all integers fit."""
    if largest < 1 << 24:
        return np.float32
    return np.float64 if largest < 1 << 53 else np.int64
