"""Which requantizations firmware/kernels/dsp can do, and their constants (mcu/kernels/dsp_requantize.h)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mcu_build.ir.calls.convolution import Convolution
from mcu_build.ir.calls.struct import OutputEpilogue, Struct
from mcu_build.kernels.context import Context

Form = Literal["relu", "half_away", "bounded"]
Ints = np.ndarray[Any, np.dtype[np.int64]]
Bytes = np.ndarray[Any, np.dtype[np.int8]]

_END = 1 << 31


@dataclass(frozen=True)
class DspScale(Struct):
    """Parameters of dsp_requantize.h: one requantization."""

    doubled_bias: int
    multiplier: int
    addend: int
    shift: int


@dataclass(frozen=True)
class DspBounds(Struct):
    """Parameters of dsp_requantize.h: the ends of the activation."""

    low: int
    high: int


@dataclass(frozen=True)
class DspRequantization:
    """How a layer's sums become int8: the form of the code, and four numbers for each channel.

    `scales` is [channels][doubled bias, multiplier, addend, shift], `bounds` the largest magnitude of each
    channel's sum before the bias.
    """

    form: Form
    scales: Ints
    bounds: Ints
    low: int
    high: int

    @property
    def limits(self) -> DspBounds:
        """The ends of the activation."""
        return DspBounds(self.low, self.high)


def array(context: Context, id: int | None, dtype: type[np.generic]) -> np.ndarray[Any, Any] | None:
    """The values of a constant; None where the tensor is not one."""
    if id is None:
        return None
    tensor = context.tensors[id]
    if tensor.data is None or tensor.dtype.numpy_name != np.dtype(dtype).name:
        return None
    return np.frombuffer(tensor.data, dtype=dtype).reshape(tensor.shape)


def convolution(
    context: Context, call: Convolution, weights: Bytes, channels: slice = slice(None)
) -> DspRequantization | None:
    """That of a convolution, whose weights are [channels][products]. None: the kernels cannot.

    `channels` are those of the convolution that the weights are for.
    """
    multipliers, shifts = (array(context, id, np.int32) for id in (call.multipliers, call.shifts))
    bias = array(context, call.bias, np.int32)
    if multipliers is None or shifts is None or (bias is None and call.bias is not None):
        return None
    return requantization(
        weights,
        np.zeros(len(weights), np.int64) if bias is None else bias.astype(np.int64)[channels],
        call.params.input_offset,
        multipliers.astype(np.int64)[channels].tolist(),
        shifts.astype(np.int64)[channels].tolist(),
        call.params.epilogue,
    )


def one_scale(
    multiplier: int, shift: int, epilogue: OutputEpilogue, largest: int, bias: int = 0
) -> DspScale | None:
    """The constants, form `half_away`, for sums of at most `largest` beside the bias and one multiplier.

    None: the kernels cannot.
    """
    if not epilogue.is_whole:
        return None
    scale = _scale("half_away", bias, largest, multiplier, shift, epilogue.zero_point)
    return None if scale is None else DspScale(*scale)


def requantization(
    weights: Bytes,
    bias: Ints,
    input_offset: int,
    multipliers: Sequence[int],
    shifts: Sequence[int],
    epilogue: OutputEpilogue,
) -> DspRequantization | None:
    """The constants for weights [channels][products], the input's offset in the bias.

    None where a number would leave its range, so that the arithmetic would not be that of requantize.h.
    """
    wide = weights.astype(np.int64)
    bounds = 128 * np.abs(wide).sum(axis=1)
    folded = bias + input_offset * wide.sum(axis=1)
    form: Form = "half_away"
    if not epilogue.is_whole:
        form = "bounded"
    elif epilogue.zero_point == -128:
        form = "relu"
    scales = [
        _scale(form, *numbers, epilogue.zero_point)
        for numbers in zip(folded.tolist(), bounds.tolist(), multipliers, shifts, strict=True)
    ]
    if any(scale is None for scale in scales):
        return None
    return DspRequantization(
        form, np.array(scales, np.int64), bounds, epilogue.activation_min, epilogue.activation_max
    )


def _scale(
    form: Form, bias: int, bound: int, multiplier: int, shift: int, zero_point: int
) -> tuple[int, int, int, int] | None:
    largest = bound + abs(bias)
    # Beyond 31 bits nothing is left of a sum, however far it is shifted.
    right = min(-shift, 63)
    if multiplier == 0:
        return _nothing(zero_point)
    if right < (0 if form == "relu" else 1) or not 0 <= multiplier < _END or 2 * largest >= _END:
        return None
    high = (largest * multiplier + (1 << 30)) >> 31
    if right > 0 and high < 1 << (right - 1):
        return _nothing(zero_point)
    half = 1 << (right - 1) if right > 0 else 0
    addend = zero_point * (1 << right) + half
    if right > 31 or high + abs(addend) + 1 >= _END:
        return None
    return 2 * bias, multiplier, addend, right


def _nothing(zero_point: int) -> tuple[int, int, int, int]:
    """A channel whose sums all round to nothing."""
    return 0, 0, (zero_point << 1) + 1, 1
