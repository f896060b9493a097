"""Weights of 4 bits: how they are rounded and packed, and the exact definition of the layer that reads them.

Activations are int8. A weight is a number from -8 to 7 times the scale of its output or, in groups, times a
factor of 1 to 255 of its 32 neighbours too:

    sum = bias[o] + sum over groups g of factors[o][g] * sum over i in g of input[i] * weights[o][i]
    output[o] = clamp(rounded(sum, multipliers[o], shifts[o]) + zero_point, low, high)

Without groups the factor is 16: kernels read weights in the high halves of bytes. Shifts are from 33 on.

`bias` holds what the input's zero point contributes. A row is packed in blocks of up to 32 weights: byte k of
a block of n has weight k in its low half and weight k + ceil(n / 2) in its high half.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mcu_build.arithmetic.int16 import rounded

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
UInt8 = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float64]

GROUP = 32
LOW, HIGH = -8, 7
LARGEST_FACTOR = 255
# Without groups.
WHOLE_FACTOR = 16
LEAST_SHIFT = 33
# Kernels add up sixteen times the products of a row.
MOST_INPUTS = 1 << 16
# Scales that are tried, as shares of the one that holds the largest weight.
_TRIED = np.linspace(0.5, 1.0, 26)


def scales_of(weights: Float, grouped: bool) -> Float:
    """Scales [outputs, groups] for weights [outputs, inputs]: those of least square error.

    Of groups, each is a multiple, 1 to 255, of the row's unit. Without groups there is one.
    """
    outputs, inputs = weights.shape
    parts = weights.reshape(outputs, -1, GROUP if grouped else inputs)
    best = _of_least_error(parts)
    if not grouped:
        return best
    unit = best.max(axis=1, keepdims=True) / LARGEST_FACTOR
    return np.asarray(np.clip(np.rint(best / unit), 1, LARGEST_FACTOR) * unit)


def _of_least_error(parts: Float) -> Float:
    """The best scale for each [..., weights]; what rounds to nothing has 1."""
    reach = np.maximum(parts.max(axis=-1) / HIGH, parts.min(axis=-1) / LOW)
    reach = np.where(reach > 0, reach, 1.0)
    best, least = reach, np.full(reach.shape, np.inf)
    for share in _TRIED:
        scale = reach * share
        error = np.square(parts - _rounded(parts, scale) * scale[..., None]).sum(axis=-1)
        best, least = np.where(error < least, scale, best), np.minimum(error, least)
    return np.asarray(best)


def _rounded(parts: Float, scale: Float) -> Float:
    return np.asarray(np.clip(np.rint(parts / scale[..., None]), LOW, HIGH))


def integers_of(weights: Float, scales: Float) -> Int8:
    """Weights [outputs, inputs] as numbers from -8 to 7, by their scales [outputs, groups]."""
    parts = weights.reshape(*scales.shape, -1)
    return fit_in_pairs(_rounded(parts, scales).astype(np.int8).reshape(weights.shape))


def fit_in_pairs(weights: Int8) -> Int8:
    """With -7 for -8 in even rows where the next row has less than 0.

    Helium's kernel has both in a byte, 16 * even + odd, which is -128 or more then.
    """
    fitting = weights.copy()
    even, odd = fitting[: len(fitting) // 2 * 2 : 2], fitting[1::2]
    even[(even == LOW) & (odd < 0)] = LOW + 1
    return fitting


def pack(weights: Int8) -> UInt8:
    """Weights [outputs, inputs] as bytes [outputs, row]."""
    rows = [_packed(weights[:, start:end]) for start, end in _blocks(weights.shape[1])]
    return np.concatenate(rows, axis=1)


def unpack(packed: UInt8, inputs: int) -> Int8:
    """What `pack` has packed."""
    columns, at = [], 0
    for start, end in _blocks(inputs):
        half = (end - start + 1) // 2
        part = packed[:, at : at + half].view(np.int8)
        columns.append(np.concatenate([(part << 4) >> 4, part >> 4], axis=1)[:, : end - start])
        at += half
    return np.concatenate(columns, axis=1)


def row_bytes(inputs: int) -> int:
    """Bytes of a packed row."""
    return sum((end - start + 1) // 2 for start, end in _blocks(inputs))


def _blocks(inputs: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + GROUP, inputs)) for start in range(0, inputs, GROUP))


def _packed(block: Int8) -> UInt8:
    half = (block.shape[1] + 1) // 2
    full = np.zeros((len(block), 2 * half), np.int8)
    full[:, : block.shape[1]] = block
    return ((full[:, :half] & 15) | (full[:, half:] << 4)).astype(np.int8).view(np.uint8)


def linear_w4(
    values: Int8,
    packed: UInt8,
    factors: UInt8,
    bias: Int32,
    multipliers: Int32,
    shifts: Int32,
    inputs: int,
    dimension: int,
    zero_point: int,
    low: int,
    high: int,
) -> Int8:
    """Products with rows along `dimension` of `values`: -1, or 1 for the channels of an image.

    `factors` are [outputs, groups], or [1] where each output has one scale.
    """
    rows = np.moveaxis(values, dimension, -1).astype(np.int64)
    weights = unpack(packed, inputs).astype(np.int64)
    is_grouped = factors.ndim == 2
    weights = weights * (np.repeat(factors.astype(np.int64), GROUP, axis=1) if is_grouped else WHOLE_FACTOR)
    sums = rows @ weights.T + bias
    outputs = np.clip(rounded(sums, multipliers, shifts) + zero_point, low, high).astype(np.int8)
    return np.ascontiguousarray(np.moveaxis(outputs, -1, dimension))


DEFINITIONS: Mapping[str, Callable[..., npt.NDArray[Any]]] = {"linear_w4": linear_w4}
