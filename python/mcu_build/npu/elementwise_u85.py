"""Elementwise operations of U85: each operand has a scale of its own."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_build.npu import elementwise
from mcu_build.npu.arithmetic import Rounding, multiply, scale
from mcu_build.npu.commands import CommandError

Array = NDArray[Any]

UNARY = ("lrelu", "abs", "clz", "not")


@dataclass(frozen=True)
class OperandScale:
    """multiplier / 2**shift, rounded."""

    multiplier: int
    shift: int
    rounding: Rounding

    def apply(self, values: Array) -> Array:
        """The scaled values."""
        if (self.multiplier, self.shift) == (1, 0):
            return values
        return scale(values, self.multiplier, self.shift, self.rounding)


def unary(mode: str, values: Array, scales: tuple[OperandScale, OperandScale]) -> Array:
    """One operand; LRELU scales values that are negative with the second scale."""
    match mode:
        case "lrelu":
            return np.where(values < 0, scales[1].apply(values), scales[0].apply(values))
        case "abs":
            return np.abs(scales[0].apply(values))
        case "clz":
            return elementwise.leading_zeros(values)
    return ~values


def binary(
    mode: str, a: Array, b: Array, scales: tuple[OperandScale, OperandScale], rounding: Rounding
) -> Array:
    """Two operands, broadcast to one shape."""
    a, b = np.broadcast_arrays(scales[0].apply(a), scales[1].apply(b))
    match mode:
        case "mul":
            return multiply(a, b)
        case "add":
            return np.asarray(a + b)
        case "sub":
            return np.asarray(a - b)
        case "min":
            return np.minimum(a, b)
        case "max":
            return np.maximum(a, b)
        case "shr":
            return elementwise.shift_right(a, b, rounding)
        case "shl":
            return elementwise.shift_left(a, b)
        case "lsr":
            return elementwise.logical_shift_right(a, b)
        case "div":
            return _quotient(a, b)
    return _logic(mode, a, b)


def _quotient(a: Array, b: Array) -> Array:
    """a / b, towards zero."""
    if not b.all():
        raise CommandError("a division by zero: not modelled")
    return np.asarray(np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b)))


def _logic(mode: str, a: Array, b: Array) -> Array:
    """Bit by bit. A comparison that is true gives all ones, so that it can choose between operands."""
    match mode:
        case "cmp_eq":
            return -np.asarray(a == b, np.int64)
        case "cmp_ne":
            return -np.asarray(a != b, np.int64)
        case "cmp_ge":
            return -np.asarray(a >= b, np.int64)
        case "cmp_gt":
            return -np.asarray(a > b, np.int64)
        case "and":
            return np.asarray(a & b)
        case "or":
            return np.asarray(a | b)
        case "xor":
            return np.asarray(a ^ b)
        case "and_not":
            return np.asarray(a & ~b)
    raise CommandError(f"elementwise {mode} of U85: not modelled")
