"""Operations on one or two values at a time. Operands are int64, their zero points subtracted already."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_build.npu.arithmetic import Rounding, multiply, scale
from mcu_build.npu.commands import CommandError

Array = NDArray[Any]

# How far the operand that is not scaled is shifted to the left, by bytes of an element.
_SHIFTS = {1: 19, 2: 14}


@dataclass(frozen=True)
class OperandScaling:
    """How ADD and SUB bring their operands to one scale.

    `mode` 0 multiplies operand A by `multiplier` and B by `other`, 16 bits each; 1 scales A and shifts B,
    2 scales B and shifts A, by multiplier / 2**shift and 19 (8 bits) or 14 (16 bits) to the left.
    """

    mode: int
    multiplier: int
    shift: int
    other: int
    rounding: Rounding


def add(a: Array, b: Array, scaling: OperandScaling, element_size: int) -> Array:
    """A + B on one scale."""
    first, second = _align(a, b, scaling, element_size)
    return np.asarray(first + second)


def subtract(a: Array, b: Array, scaling: OperandScaling, element_size: int) -> Array:
    """A - B on one scale."""
    first, second = _align(a, b, scaling, element_size)
    return np.asarray(first - second)


def _align(a: Array, b: Array, scaling: OperandScaling, element_size: int) -> tuple[Array, Array]:
    if scaling.mode == 0:
        return multiply(a, scaling.multiplier & 0xFFFF), multiply(b, scaling.other & 0xFFFF)
    if element_size not in _SHIFTS or scaling.mode > 2:
        raise CommandError(f"operand scaling {scaling.mode} of {8 * element_size} bits: not modelled")
    shift = _SHIFTS[element_size]
    if scaling.mode == 1:
        return scale(a, scaling.multiplier, scaling.shift, scaling.rounding), b << shift
    return a << shift, scale(b, scaling.multiplier, scaling.shift, scaling.rounding)


def leaky(values: Array, multiplier: int, shift: int, rounding: Rounding) -> Array:
    """Values that are negative times multiplier / 2**shift, the others as they are."""
    return np.where(values < 0, scale(values, multiplier, shift, rounding), values)


def leading_zeros(values: Array) -> Array:
    """Zeros before the first one of 32 bits; a negative number has none."""
    unsigned = np.asarray(values, np.int64) & 0xFFFF_FFFF
    # frexp's exponent is the number of bits, and 32 bits are exact in a double.
    return 32 - np.frexp(unsigned.astype(np.float64))[1].astype(np.int64)


def shift_right(values: Array, by: Array, rounding: Rounding) -> Array:
    """values / 2**by, rounded."""
    _check_shift(by)
    return scale(values, 1, by, rounding)


def shift_left(values: Array, by: Array) -> Array:
    """The low 32 bits of values * 2**by, as a signed number."""
    _check_shift(by)
    return _low_32_bits(np.left_shift(values, by))


def logical_shift_right(values: Array, by: Array) -> Array:
    """The 32 bits of each value moved to the right, zeros moved in, as a signed number."""
    _check_shift(by)
    return _low_32_bits((values & 0xFFFF_FFFF) >> by)


def _low_32_bits(values: Array) -> Array:
    return np.asarray((values & 0xFFFF_FFFF ^ 0x8000_0000) - 0x8000_0000)


def _check_shift(by: Array) -> None:
    if by.size and (int(by.min()) < 0 or int(by.max()) > 31):
        raise CommandError(f"a shift by {int(by.min())} to {int(by.max())}: not modelled")
