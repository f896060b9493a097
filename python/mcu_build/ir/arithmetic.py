"""Arithmetic of requantization in NumPy, as firmware/include/mcu/kernels/requantize.h has it."""

import numpy as np
import numpy.typing as npt

# Bits behind the point of a weight of `resample`, of its sums over columns, and of those over rows.
TAP_BITS = 14
LINE_BITS = 7
SUM_BITS = TAP_BITS + LINE_BITS
# How often the step of a softmax's shares, 1/256, is halved at most.
MOST_OCTAVES = 15

Int64 = npt.NDArray[np.int64]


def requantize(accumulator: Int64, multiplier: npt.ArrayLike, shift: npt.ArrayLike) -> Int64:
    """CMSIS-NN's arm_nn_requantize: a doubling high multiplication, then a rounding shift to the right.

    `multiplier` and `shift` broadcast against `accumulator`. The product with 2^-31 rounds half up, the
    shift rounds half away from zero.
    """
    left = np.maximum(shift, 0).astype(np.int64)
    right = np.maximum(np.negative(shift), 0).astype(np.int64)
    high = ((accumulator << left) * np.asarray(multiplier, np.int64) + (1 << 30)) >> 31
    mask = (np.int64(1) << right) - 1
    threshold = (mask >> 1) + ((high >> right) < 0)
    return (high >> right) + ((high & mask) > threshold)
