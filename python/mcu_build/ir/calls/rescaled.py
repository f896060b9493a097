"""Ranges of sums, and what requantization makes of them.

Kernels are monotonic in the sum that they requantize, so the ends of a sum's range give the ends of the
output's.
"""

import numpy as np

from mcu_build.ir.arithmetic import requantize
from mcu_build.ir.calls.struct import OutputEpilogue
from mcu_build.ir.channels import Ints, Range

_MOST = 1 << 31
_SHIFTS = (-62, 31)


def sums_of(products: Range, bias: Ints | None) -> Range:
    """Of products [outputs, taps]."""
    added = 0 if bias is None else bias.reshape(-1)
    return Range(products.low.sum(1) + added, products.high.sum(1) + added)


def rescaled(sums: Range, multipliers: Ints, shifts: Ints, epilogue: OutputEpilogue) -> Range | None:
    """to_int8() of both ends; None where a number may wrap on the way."""
    multipliers, shifts = multipliers.reshape(-1), shifts.reshape(-1)
    if (multipliers < 0).any() or shifts.min() < _SHIFTS[0] or shifts.max() > _SHIFTS[1]:
        return None
    largest = np.maximum(np.abs(sums.low), np.abs(sums.high))
    if (largest >= _MOST >> np.maximum(shifts, 0)).any():
        return None
    span = sums.mapped(lambda end: requantize(end, multipliers, shifts) + epilogue.zero_point)
    return span.clipped(epilogue.activation_min, epilogue.activation_max)
