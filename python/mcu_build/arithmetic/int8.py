"""Exact definitions of the int8 operators that are ours (`mcu_build::*`), in NumPy.

The kernels of firmware/kernels/reference give the same numbers to the bit. Arrays are in the model's logical
shape; `zero_point`s and fixed-point numbers are plain integers. Everything is int64 arithmetic that stays
below 2^63; a shift to the right rounds down after half of its unit was added: half up.
"""

from collections.abc import Callable, Mapping, Sequence
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from mcu_build.arithmetic.integer import divide_to_even
from mcu_build.ir.arithmetic import LINE_BITS, TAP_BITS, requantize

Int8 = npt.NDArray[np.int8]
Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

# A normalized value has this many bits behind the point, a result before its last rounding 16.
NORMALIZED_BITS = 19
RESULT_BITS = 16
# Bits behind the point of a logarithm to the base 2.
LOG_BITS = 16


def rounding_shift(values: Int64, bits: int | Int64) -> Int64:
    """values / 2^bits, to the nearest, halves up; bits from 0 on."""
    half = (np.int64(1) << np.asarray(bits, np.int64)) >> 1
    return np.asarray((values + half) >> bits, np.int64)


def _saturate(values: Int64) -> Int8:
    return np.clip(values, -128, 127).astype(np.int8)


def prelu(
    values: Int8, slopes: Int32, positive: int, shift: int, input_zero_point: int, output_zero_point: int
) -> Int8:
    """PReLU with a slope for each channel (dimension 1).

    output = ((q - input_zero_point) * factor >> shift) + output_zero_point, where factor is `positive` for
    what is not negative and slopes[channel] for the rest.
    """
    centered = values.astype(np.int64) - input_zero_point
    by_channel = slopes.astype(np.int64).reshape(1, -1, *(1,) * (values.ndim - 2))
    products = centered * np.where(centered >= 0, positive, by_channel)
    return _saturate(rounding_shift(products, shift) + output_zero_point)


def norm(
    values: Int8,
    weight: Int32,
    bias: Int32,
    groups: int,
    centered: bool,
    epsilon: int,
    input_zero_point: int,
    output_zero_point: int,
    shift: int,
) -> Int8:
    """Normalization of [n, channels, ...] over each of `groups` groups of channels and all that follows.

    With k elements in a group and q those less the zero point: d = k * q - sum of q (k * q where not
    `centered`), t = k * sum of q^2 - (sum of q)^2 (k * sum of q^2) + epsilon, so that d / sqrt(t) is the
    normalized value; it is taken with 19 bits behind the point. weight (an entry for each channel, or one)
    turns it into output steps with 16 bits behind the point after the shift, bias is added there.
    """
    centers = values.astype(np.int64) - input_zero_point
    steps = normalized_steps(centers, weight, bias, groups, centered, epsilon, shift)
    return _saturate(rounding_shift(steps, RESULT_BITS) + output_zero_point).reshape(values.shape)


def normalized_steps(
    values: Int64, weight: Int32, bias: Int32, groups: int, centered: bool, epsilon: int, shift: int
) -> Int64:
    """Results of `norm` before their last rounding, [n, channels, rest], of values less the zero point."""
    n, channels = values.shape[:2]
    sets = values.reshape(n, groups, -1)
    count = sets.shape[2]
    total = sets.sum(axis=2, keepdims=True) if centered else np.zeros((n, groups, 1), np.int64)
    squares = (sets * sets).sum(axis=2, keepdims=True)
    spread = np.maximum(count * squares - total * total + epsilon, 1)
    inverse, right = _inverse_roots(spread)
    normalized = rounding_shift((count * sets - total) * inverse, right)
    by_channel = normalized.reshape(n, channels, -1)
    weights, biases = (a.astype(np.int64).reshape(1, -1, 1) for a in (weight, bias))
    return rounding_shift(by_channel * weights, shift) + biases


def _inverse_roots(numbers: Int64) -> tuple[Int64, Int64]:
    """For every number t in [1, 2^62): i and s with i / 2^s = 2^19 / sqrt(t), i of 31 bits."""
    roots = [_inverse_root(int(number)) for number in numbers.ravel()]
    inverse, right = (np.array(part, np.int64).reshape(numbers.shape) for part in zip(*roots, strict=True))
    return inverse, right


def _inverse_root(number: int) -> tuple[int, int]:
    half = (62 - number.bit_length()) // 2
    return (1 << 61) // isqrt(number << (2 * half)), 61 - NORMALIZED_BITS - half


def resample(
    image: Int8,
    row_starts: Int32,
    row_weights: Int16,
    column_starts: Int32,
    column_weights: Int16,
    input_zero_point: int,
    output_zero_point: int,
    multiplier: int,
    shift: int,
) -> Int8:
    """Weighted sums over runs of columns, then of rows, of [n, c, h, w]; 14 bits of each weight are fraction.

    output row i reads the rows from row_starts[i], as many as row_weights[i] has entries; likewise columns.
    Sums over columns are rounded to 7 bits behind the point; what comes of both is requantized.
    """
    centered = image.astype(np.int64) - input_zero_point
    columns = column_starts[:, None] + np.arange(column_weights.shape[1])
    lines = (centered[:, :, :, columns] * column_weights.astype(np.int64)).sum(axis=-1)
    rounded = rounding_shift(lines, TAP_BITS - LINE_BITS)
    rows = row_starts[:, None] + np.arange(row_weights.shape[1])
    sums = (rounded[:, :, rows, :] * row_weights.astype(np.int64)[:, :, None]).sum(axis=3)
    return _saturate(requantize(sums, multiplier, shift) + output_zero_point)


def windows(size: int, kernel: int, stride: int, padding: int, dilation: int, *, rounds_up: bool) -> int:
    """How many windows there are along an axis; where `rounds_up`, the last may end beyond the image, but not
    begin there."""
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    if not rounds_up:
        return span // stride + 1
    count = -(-span // stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


def max_pool2d_dilated(
    image: Int8,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    rounds_up: bool,
) -> Int8:
    """Maxima over the elements of windows inside [n, c, h, w], `dilation` apart."""
    return pooled(image, kernel, stride, padding, dilation, rounds_up)


def pooled(
    image: npt.NDArray[Any],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    rounds_up: bool,
) -> npt.NDArray[Any]:
    """The same for elements of any type."""
    axes = zip(image.shape[2:], kernel, stride, padding, dilation, strict=True)
    taps = [_inside(axis[0], windows(*axis, rounds_up=rounds_up), *axis[1:]) for axis in axes]
    result = np.empty((*image.shape[:2], len(taps[0]), len(taps[1])), image.dtype)
    for row, lines in enumerate(taps[0]):
        for column, columns in enumerate(taps[1]):
            result[:, :, row, column] = image[:, :, lines][..., columns].max(axis=(2, 3))
    return result


def _inside(
    size: int, count: int, kernel: int, stride: int, padding: int, dilation: int
) -> list[npt.NDArray[np.int64]]:
    """For each of `count` windows along an axis: its elements inside the image."""
    steps = np.arange(kernel) * dilation - padding
    every = [window * stride + steps for window in range(count)]
    return [places[(places >= 0) & (places < size)] for places in every]


def max_pool2d(image: Int8, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> Int8:
    """Maxima over the parts of windows inside [n, c, h, w], the last windows included that end outside."""
    return max_pool2d_dilated(image, kernel, stride, padding, (1, 1), True)


def softmax(values: Int8, table: Int32, octaves: int) -> Int8:
    """Softmax over the last dimension; scale 2^-(8 + octaves), zero point -128.

    table holds exp(-d * scale) for d = 0 ... 255 in units of 2^-31, as unsigned numbers. The share of
    2^(8 + octaves) is rounded, half to even.
    """
    return masked_softmax(values, np.ones(values.shape, bool), table, octaves)


def masked_softmax(values: Int8, mask: npt.NDArray[Any], table: Int32, octaves: int) -> Int8:
    """`softmax` where mask, which broadcasts to the values, is not 0; nothing counts in a row whose mask is 0
    everywhere."""
    counts = np.broadcast_to(mask != 0, values.shape)
    parts, total = _parts(values, counts, table)
    shares = divide_to_even(parts << (8 + octaves), np.maximum(total, 1))
    return _saturate(shares - 128)


def log_softmax(
    values: Int8, table: Int32, step: int, octave: int, shift: int, output_zero_point: int
) -> Int8:
    """log_softmax over the rows of a matrix.

    output = (-((max - q) * step + log2(sum) * octave) >> shift) + output_zero_point, where sum is that of
    table[max - q] / 2^31 and its logarithm has 16 bits behind the point, the rest cut off.
    """
    _, total = _parts(values, np.ones(values.shape, bool), table)
    logarithms = np.array([log2_fixed(int(number)) for number in total.ravel()], np.int64).reshape(
        total.shape
    )
    below = values.max(axis=-1, keepdims=True).astype(np.int64) - values
    return _saturate(output_zero_point - rounding_shift(below * step + logarithms * octave, shift))


def _parts(values: Int8, counts: npt.NDArray[np.bool_], table: Int32) -> tuple[Int64, Int64]:
    """Exponentials of what counts, and their sums over the last dimension."""
    wide = values.astype(np.int64)
    highest = np.where(counts, wide, -128).max(axis=-1, keepdims=True)
    entries = table.astype(np.int64) & 0xFFFFFFFF
    parts = np.where(counts, entries[np.maximum(highest - wide, 0)], 0)
    return parts, parts.sum(axis=-1, keepdims=True)


def log2_fixed(number: int) -> int:
    """log2(number / 2^31) with 16 bits behind the point, for a number from 2^31, by squaring."""
    whole = number.bit_length() - 32
    mantissa, result = number >> whole, whole
    for _ in range(LOG_BITS):
        mantissa = mantissa * mantissa >> 31
        above = mantissa >> 32
        mantissa >>= above
        result = 2 * result + above
    return result


DEFINITIONS: Mapping[str, Callable[..., Int8]] = {
    "prelu": prelu,
    "norm": norm,
    "resample": resample,
    "avg_pool2d": resample,
    "max_pool2d": max_pool2d,
    "max_pool2d_dilated": max_pool2d_dilated,
    "softmax": softmax,
    "masked_softmax": masked_softmax,
    "log_softmax": log_softmax,
}
