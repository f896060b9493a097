"""Norms of int8 and int16 in 32 bits by firmware/kernels/dsp and mve."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mcu_build.arithmetic.int8 import NORMALIZED_BITS, RESULT_BITS
from mcu_build.arithmetic.int16 import RESULT_BITS_S16
from mcu_build.ir.calls.int8 import Norm
from mcu_build.ir.calls.int16 import NormS16
from mcu_build.ir.calls.struct import Long, Struct
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.context import Context
from mcu_build.kernels.dsp.requantize import array

_LARGEST_GROUP = 1 << 16
_UPPER = 33  # bits that a shift leaves out at least, so that only a product's upper half counts
_BIAS = 1 << 30  # beyond which the output is at an end in any case

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class NormRowsParams(Struct):
    """Parameters of norm_rows.h."""

    batches: int
    groups: int
    rows: int
    row: int
    batch_step: int
    group_step: int
    row_step: int
    entry_step: int
    by_row: bool
    centered: bool
    input_zero_point: int
    left: int
    right: int
    epsilon: Long


def dsp(context: Context, step: Step, call: Norm | NormS16) -> Step | None:
    """On cores with the DSP extension."""
    return _rows(context, step, call, "dsp")


def mve(context: Context, step: Step, call: Norm | NormS16) -> Step | None:
    """On Helium."""
    return _rows(context, step, call, "mve")


def _rows(context: Context, step: Step, call: Norm | NormS16, core: str) -> Step | None:
    """Groups whose channels, or whose positions, lie side by side, where 32 bits hold all."""
    layer = call.params
    input_zero, output_zero, result_bits, suffix = 0, 0, RESULT_BITS_S16, "s16"
    if isinstance(call, Norm):
        input_zero, output_zero = call.params.input_zero_point, call.params.output_zero_point
        result_bits, suffix = RESULT_BITS, "s8"
    weight, bias = (array(context, id, np.int32) for id in (call.weight, call.bias))
    strides, channels, positions = layer.strides, layer.channels_per_group, layer.positions
    by_row = positions > 1 and strides.channel != 1
    if weight is None or bias is None or (strides.position if by_row else strides.channel) != 1:
        return None
    rows, row = (channels, positions) if by_row else (positions, channels)
    weights = weight.astype(np.int64)
    shifts = _shifts(weights, layer.shift, rows * row)
    if shifts is None:
        return None
    ahead, left, right = shifts
    entries = layer.groups * channels
    addends = bias.astype(np.int64).clip(-_BIAS, _BIAS)
    addends += (1 << (result_bits - 1)) + (output_zero << result_bits)
    params = NormRowsParams(
        batches=layer.batches,
        groups=layer.groups,
        rows=rows,
        row=row,
        batch_step=strides.batch,
        group_step=channels * strides.channel,
        row_step=strides.channel if by_row else strides.position,
        entry_step=channels,
        by_row=by_row,
        centered=layer.centered,
        input_zero_point=input_zero,
        left=left,
        right=right,
        epsilon=layer.epsilon,
    )
    packed = [
        _entries(context, call, id, values, entries)
        for id, values in ((call.weight, weights << ahead), (call.bias, addends))
    ]
    arguments = (call.input, *packed, call.output)
    kernel = f"{core}_norm_rows_{suffix}"
    return replace(step, kernel=kernel, source="norm_rows", params=params, arguments=arguments)


def _shifts(weights: Ints, shift: int, count: int) -> tuple[int, int, int] | None:
    """Bits to shift weights, what is normalized, and their product; None where 32 are not enough."""
    if count > _LARGEST_GROUP:
        return None
    missing = max(_UPPER - shift, 0)
    ahead = min(missing, 31 - int(np.abs(weights).max()).bit_length())
    left = missing - ahead
    # What is normalized is at most the root of `count`, but for the rounding of its factor.
    fits = 1.01 * count * 4 ** (NORMALIZED_BITS + left) < 4**31
    return (ahead, left, shift + missing - 32) if fits else None


def _entries(context: Context, call: Norm | NormS16, id: int, values: Ints, count: int) -> int:
    """One for each channel."""
    words = np.broadcast_to(values.reshape(-1), count).astype(np.int32)
    return context.constant(f"{context.tensor(id).name} (packed)", DType.I32, (count,), words.tobytes())
