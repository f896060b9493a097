"""Exact definitions of the operators on int16 activations (`mcu_build::*_s16`), in NumPy.

Activations are symmetric: a real number is the integer times its scale. Weights are int8 with a scale for
each channel of the output. Every result is rounded once:

    rounded(sum, multiplier, shift) = (sum * multiplier + 2^(shift - 1)) >> shift

with products below 2^63. Arrays are in the model's logical shape. The kernels give the same to the bit.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mcu_build.arithmetic.int8 import log2_fixed, normalized_steps, pooled, rounding_shift, windows
from mcu_build.arithmetic.integer import correlate, scatter
from mcu_build.ir.arithmetic import LINE_BITS, TAP_BITS

Int8 = npt.NDArray[np.int8]
Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

LOW, HIGH = -(1 << 15), (1 << 15) - 1
# Bits behind the point of a result of `norm_s16` before its last rounding.
RESULT_BITS_S16 = 12
# exp2 is 2^30 at 0, with this many entries an octave; a share is a multiple of 2^-15.
EXP2_BITS = 30
EXP2_ENTRIES = 8
SHARE_BITS = 15
_OCTAVE_BITS = 16
_INVERSE_BITS = 61


def rounded(sums: Int64, multiplier: npt.ArrayLike, shift: npt.ArrayLike) -> Int64:
    """sums * multiplier / 2^shift, halves up; `multiplier` and `shift` broadcast against `sums`."""
    return rounding_shift(sums * np.asarray(multiplier, np.int64), np.asarray(shift, np.int64))


def saturated(values: Int64, low: int = LOW, high: int = HIGH) -> Int16:
    """Clamped to what is between `low` and `high`."""
    return np.clip(values, low, high).astype(np.int16)


def rescale_s16(
    values: npt.NDArray[Any],
    input_zero_point: int,
    multiplier: int,
    shift: int,
    output_zero_point: int,
    low: int,
    high: int,
    bits: int,
) -> npt.NDArray[Any]:
    """int8 or int16 in another scale, as int8 or int16 (`bits`), clamped: boundaries, and ReLU."""
    moved = rounded(values.astype(np.int64) - input_zero_point, multiplier, shift) + output_zero_point
    return np.clip(moved, low, high).astype(np.int8 if bits == 8 else np.int16)


def linear_s16(
    rows: Int16, weight: Int8, bias: Int32, multipliers: Int32, shifts: Int32, low: int, high: int
) -> Int16:
    """Rows times weight [outputs, inputs], with bias, rounded for each output.

    Sums run in float64: every partial sum is an integer below 2^53.
    """
    sums = (rows.astype(np.float64) @ weight.astype(np.float64).T).astype(np.int64) + bias
    return saturated(rounded(sums, multipliers, shifts), low, high)


def conv2d_s16(
    image: Int16,
    weight: Int8,
    bias: Int32,
    multipliers: Int32,
    shifts: Int32,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    low: int,
    high: int,
) -> Int16:
    """Convolution of [n, c, h, w] with weight [outputs, kh, kw, c / groups]."""
    rows = image.transpose(0, 2, 3, 1).astype(np.float64)
    sums = correlate(rows, weight.astype(np.float64), groups, stride, padding, dilation)
    result = saturated(rounded(sums.astype(np.int64) + bias, multipliers, shifts), low, high)
    return result.transpose(0, 3, 1, 2)


def transpose_conv2d_s16(
    image: Int16,
    weight: Int8,
    bias: Int32,
    multipliers: Int32,
    shifts: Int32,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    dilation: Sequence[int],
    low: int,
    high: int,
) -> Int16:
    """Transposed convolution of [n, c, h, w] with weight [outputs, kh, kw, c]."""
    rows = image.transpose(0, 2, 3, 1).astype(np.float64)
    sums = scatter(rows, weight.astype(np.float64), stride, padding, output_padding, dilation)
    result = saturated(rounded(sums.astype(np.int64) + bias, multipliers, shifts), low, high)
    return result.transpose(0, 3, 1, 2)


def add_s16(
    first: Int16,
    second: Int16,
    first_multiplier: int,
    second_multiplier: int,
    shift: int,
    low: int,
    high: int,
) -> Int16:
    """first * first_multiplier + second * second_multiplier, rounded once; a negative one subtracts."""
    sums = first.astype(np.int64) * first_multiplier + second.astype(np.int64) * second_multiplier
    return saturated(rounding_shift(sums, shift), low, high)


def mul_s16(first: Int16, second: Int16, multiplier: int, shift: int, low: int, high: int) -> Int16:
    """Products of elements."""
    return saturated(rounded(first.astype(np.int64) * second, multiplier, shift), low, high)


def matmul_s16(left: Int16, right: Int16, multiplier: int, shift: int) -> Int16:
    """Products of batches of matrices, [b, rows, inner] and [b, columns, inner]."""
    sums = left.astype(np.int64) @ right.astype(np.int64).transpose(0, 2, 1)
    return saturated(rounded(sums, multiplier, shift))


def max_pool2d_s16(
    image: Int16,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    rounds_up: bool,
) -> Int16:
    """Maxima over the elements of windows inside [n, c, h, w], `dilation` apart."""
    return pooled(image, kernel, stride, padding, dilation, rounds_up)


def avg_pool2d_s16(
    image: Int16,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    rounds_up: bool,
    multipliers: Int32,
    shift: int,
) -> Int16:
    """The sum over the part of each window inside [n, c, h, w], times multipliers[its number of elements]."""
    height, width = image.shape[2:]
    axes = zip((height, width), kernel, stride, padding, strict=True)
    counts = [windows(*axis, 1, rounds_up=rounds_up) for axis in axes]
    result = np.empty((*image.shape[:2], *counts), np.int16)
    for row in range(counts[0]):
        top = row * stride[0] - padding[0]
        lines = slice(max(top, 0), min(top + kernel[0], height))
        for column in range(counts[1]):
            left = column * stride[1] - padding[1]
            part = image[:, :, lines, max(left, 0) : min(left + kernel[1], width)].astype(np.int64)
            multiplier = multipliers[part.shape[2] * part.shape[3]]
            result[:, :, row, column] = saturated(rounded(part.sum(axis=(2, 3)), multiplier, shift))
    return result


def resample_s16(
    image: Int16,
    row_starts: Int32,
    row_weights: Int16,
    column_starts: Int32,
    column_weights: Int16,
    multiplier: int,
    shift: int,
    low: int,
    high: int,
) -> Int16:
    """As `resample` of int8: sums over runs of columns are rounded to 7 bits behind the point, then those of
    rows to the output."""
    columns = column_starts[:, None] + np.arange(column_weights.shape[1])
    lines = (image.astype(np.int64)[:, :, :, columns] * column_weights.astype(np.int64)).sum(axis=-1)
    shortened = rounding_shift(lines, TAP_BITS - LINE_BITS)
    rows = row_starts[:, None] + np.arange(row_weights.shape[1])
    sums = (shortened[:, :, rows, :] * row_weights.astype(np.int64)[:, :, None]).sum(axis=3)
    return saturated(rounded(sums, multiplier, shift), low, high)


def lookup_s16(values: Int16, table: Int16, bits: int) -> Int16:
    """A function between table entries 2^bits apart, the first for -32768, by straight lines."""
    places = values.astype(np.int64) - LOW
    index, rest = places >> bits, places & ((1 << bits) - 1)
    entries = table.astype(np.int64)
    rise = entries[index + 1] - entries[index]
    return saturated(entries[index] + rounding_shift(rise * rest, bits))


def exp2_table() -> Int32:
    """2^-x for x from 0 to 1 in steps of 2^-8, in units of 2^-30."""
    steps = np.arange((1 << EXP2_ENTRIES) + 1) / (1 << EXP2_ENTRIES)
    return np.asarray(np.rint(np.exp2(EXP2_BITS - steps)), np.int32)


def softmax_s16(values: Int16, dimension: int, table: Int32, multiplier: int, shift: int) -> Int16:
    """Softmax along a dimension; multiplier / 2^shift is the scale in octaves, with 16 bits behind the point.

    Shares are multiples of 2^-15; a share of one is 32767.
    """
    return _shares(values, np.ones(values.shape, bool), dimension, table, multiplier, shift)


def masked_softmax_s16(
    values: Int16, mask: npt.NDArray[np.generic], table: Int32, multiplier: int, shift: int
) -> Int16:
    """Softmax over the last dimension of [b, r, c] where mask [1 | b, 1 | r, c] is not 0, zeros elsewhere."""
    counts = np.broadcast_to(mask != 0, values.shape)
    return _shares(values, counts, -1, table, multiplier, shift)


def log_softmax_s16(
    values: Int16, table: Int32, multiplier: int, shift: int, step: int, octave: int, output_shift: int
) -> Int16:
    """log_softmax over the rows of a matrix: -((max - value) * step + log2(sum) * octave) >> output_shift.

    sum is that of the powers of `softmax_s16`; its logarithm has 16 bits behind the point, the rest cut off.
    """
    parts = _powers(values, np.ones(values.shape, bool), 1, table, multiplier, shift)
    totals = parts.sum(axis=1, keepdims=True) << (31 - EXP2_BITS)
    logarithms = np.array([log2_fixed(int(total)) for total in totals.ravel()], np.int64)
    below = values.max(axis=1, keepdims=True).astype(np.int64) - values
    return saturated(-rounding_shift(below * step + logarithms[:, None] * octave, output_shift))


def _shares(
    values: Int16, counts: npt.NDArray[np.bool_], dimension: int, table: Int32, multiplier: int, shift: int
) -> Int16:
    parts = _powers(values, counts, dimension, table, multiplier, shift)
    inverse = (1 << _INVERSE_BITS) // np.maximum(parts.sum(axis=dimension, keepdims=True), 1)
    return saturated(rounding_shift(parts * inverse, _INVERSE_BITS - SHARE_BITS))


def _powers(
    values: Int16, counts: npt.NDArray[np.bool_], dimension: int, table: Int32, multiplier: int, shift: int
) -> Int64:
    """2^-octaves of what counts below the largest, in units of 2^-30, 0 of the rest."""
    wide = values.astype(np.int64)
    highest = np.where(counts, wide, LOW).max(axis=dimension, keepdims=True)
    octaves = rounded(np.maximum(highest - wide, 0), multiplier, shift)
    whole, fraction = np.minimum(octaves >> _OCTAVE_BITS, 62), octaves & ((1 << _OCTAVE_BITS) - 1)
    step = _OCTAVE_BITS - EXP2_ENTRIES
    index, rest = fraction >> step, fraction & ((1 << step) - 1)
    entries = table.astype(np.int64)
    powers = entries[index] + rounding_shift((entries[index + 1] - entries[index]) * rest, step)
    return np.where(counts, rounding_shift(powers, whole), 0)


def norm_s16(
    values: Int16, weight: Int32, bias: Int32, groups: int, centered: bool, epsilon: int, shift: int
) -> Int16:
    """As `norm` of int8; bias and results have 12 bits behind the point before the last rounding."""
    steps = normalized_steps(values.astype(np.int64), weight, bias, groups, centered, epsilon, shift)
    return saturated(rounding_shift(steps, RESULT_BITS_S16)).reshape(values.shape)


DEFINITIONS: Mapping[str, Callable[..., npt.NDArray[Any]]] = {
    function.__name__: function
    for function in (
        rescale_s16,
        linear_s16,
        conv2d_s16,
        transpose_conv2d_s16,
        add_s16,
        mul_s16,
        matmul_s16,
        max_pool2d_s16,
        avg_pool2d_s16,
        resample_s16,
        lookup_s16,
        softmax_s16,
        masked_softmax_s16,
        log_softmax_s16,
        norm_s16,
    )
}
