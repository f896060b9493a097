"""Scaling and rounding of accumulators, in exact integers.

Arrays are int64 where every intermediate value fits and Python integers (dtype object) where one may not.
"""

from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_INT64 = 1 << 63


class Rounding(Enum):
    """How bits below the point go away.

    DOUBLE: half up at bit 31, then half away from zero at the rest of the shift, as TFLite's quantized
    multiplication. TRUNCATE: towards minus infinity. NATURAL: half up. U85 alone: SYMMETRIC, half away from
    zero; TOWARDS_ZERO.
    """

    DOUBLE = 0
    TRUNCATE = 1
    NATURAL = 2
    SYMMETRIC = 3
    TOWARDS_ZERO = 4


def bounds(values: Array) -> int:
    """The largest absolute value."""
    return max(-int(values.min()), int(values.max())) if values.size else 0


def multiply(values: Array, factor: Array | int) -> Array:
    """The exact product."""
    largest = bounds(np.asarray(factor))
    if bounds(values) * largest < _INT64:
        return np.asarray(values * np.asarray(factor, np.int64))
    return np.asarray(values.astype(object) * np.asarray(factor, object))


def scale(values: Array, multiplier: Array | int, shift: Array | int, rounding: Rounding) -> Array:
    """values * multiplier / 2**shift, rounded. `multiplier` and `shift` are numbers or one a channel."""
    product = multiply(values, multiplier)
    shift = np.asarray(shift)
    if rounding is Rounding.TRUNCATE:
        return narrow(_shift_right(product, shift))
    if rounding is Rounding.NATURAL:
        return narrow(_half_up(product, shift))
    if rounding is Rounding.SYMMETRIC:
        return narrow(half_away(product, shift))
    if rounding is Rounding.TOWARDS_ZERO:
        return narrow(np.where(product < 0, -1, 1) * _shift_right(np.abs(product), shift))
    first = np.minimum(shift, 31)
    return narrow(half_away(_half_up(product, first), shift - first))


def half_away(values: Array, shift: Array | int) -> Array:
    """values / 2**shift, halves rounded away from zero."""
    sign = np.where(values < 0, -1, 1)
    return sign * _half_up(np.abs(values), np.asarray(shift))


def divide_half_away(values: Array, divisor: Array) -> Array:
    """values / divisor (positive), halves rounded away from zero."""
    sign = np.where(values < 0, -1, 1)
    return sign * ((2 * np.abs(values) + divisor) // (2 * divisor))


def narrow(values: Array) -> Array:
    """As int64 where the values fit."""
    if values.dtype == object and bounds(values) < _INT64:
        return values.astype(np.int64)
    return values


def _half_up(values: Array, shift: Array) -> Array:
    largest = int(shift.max())
    if values.dtype != object and bounds(values) + (1 << largest >> 1) >= _INT64:
        values = values.astype(object)
    if values.dtype == object:
        shift = shift.astype(object)
        return np.asarray((values + ((shift * 0 + 1) << shift >> 1)) >> shift)
    return np.asarray((values + (np.int64(1) << shift.astype(np.int64) >> 1)) >> shift)


def _shift_right(values: Array, shift: Array) -> Array:
    return np.asarray(values >> (shift.astype(object) if values.dtype == object else shift))
