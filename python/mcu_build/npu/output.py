"""From accumulators to the output map: scaling, zero point, activation."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_build.npu.arithmetic import Rounding, bounds, scale
from mcu_build.npu.commands import CommandError
from mcu_build.npu.weights import Scales

Array = NDArray[Any]
Scaling = tuple[int, int] | Scales | None

# Ranges that ACTIVATION can force instead of the output's own.
_FORCED = {2: (0, 255), 3: (-128, 127), 5: (-32768, 32767)}
_WIDE_ENTRIES = 512


@dataclass(frozen=True)
class Activation:
    """Clamp to [low, high], then, where `table` is set, look up."""

    low: int
    high: int
    table: bytes | None
    interpolated: bool = False


@dataclass(frozen=True)
class Output:
    """How an operation's results become the values of its output map.

    `scaling` is (multiplier, shift) for all, one of each a channel, or None.
    """

    dtype: np.dtype[Any]
    zero_point: int
    scaling: Scaling
    rounding: Rounding
    activation: Activation

    def finish(self, accumulators: Array) -> Array:
        """Values of the output map from accumulators (height, width, depth)."""
        values = self._scaled(accumulators)
        wide = self.dtype.itemsize == 4
        if wide and self.activation.table is None:
            return _fit(values, self.dtype)
        if not wide:
            values = values + self.zero_point
        values = np.clip(values, self.activation.low, self.activation.high).astype(np.int64)
        if self.activation.table is not None:
            values = _look_up(values, self.activation, self.dtype)
        return _fit(values, self.dtype)

    def _scaled(self, values: Array) -> Array:
        if self.scaling is None:
            return values
        if isinstance(self.scaling, Scales):
            values = values + self.scaling.bias
            return scale(values, self.scaling.multiplier, self.scaling.shift, self.rounding)
        return scale(values, *self.scaling, self.rounding)


def clamp_range(clip: int, low: int, high: int, dtype: np.dtype[Any]) -> tuple[int, int]:
    """The limits of ACTIVATION_MIN and MAX (16 bits each), as numbers within the range that `clip` names."""
    if clip and clip not in _FORCED:
        raise CommandError(f"activation clip range {clip}")
    if clip:
        least, greatest = _FORCED[clip]
        is_signed = least < 0
    else:
        is_signed = dtype.kind == "i"
        info = np.iinfo(dtype)
        least, greatest = int(info.min), int(info.max)
    if is_signed:
        low, high = (low ^ 0x8000) - 0x8000, (high ^ 0x8000) - 0x8000
    return max(low, least), min(high, greatest)


def table_bytes(dtype: np.dtype[Any]) -> int:
    """Size of a table for outputs of that type."""
    return {1: 256, 2: 4 * _WIDE_ENTRIES, 4: 1024}[dtype.itemsize]


def _look_up(values: Array, activation: Activation, dtype: np.dtype[Any]) -> Array:
    assert activation.table is not None
    if activation.interpolated:
        return _interpolate(
            values, np.frombuffer(activation.table, "<u4").astype(np.int64), dtype.itemsize == 4
        )
    entries = np.frombuffer(activation.table, dtype)
    offset = 0 if dtype.kind == "u" and dtype.itemsize == 1 else 128
    return np.asarray(entries[values + offset], np.int64)


def _interpolate(values: Array, entries: NDArray[np.int64], wide: bool) -> Array:
    """512 entries of slope << 16 | base; 7 bits of the value lie between them, and stay in `wide` results."""
    entry = entries[(values >> 7) + 256]
    base = (entry & 0xFFFF ^ 0x8000) - 0x8000
    slope = (entry >> 16 ^ 0x8000) - 0x8000
    if wide:
        return np.asarray((base << 7) + slope * (values & 127))
    return np.asarray(np.clip(base + (slope * (values & 127) + 64 >> 7), -32768, 32767))


def _fit(values: Array, dtype: np.dtype[Any]) -> Array:
    """`values`, which must fit: what the hardware does with those that do not is not known."""
    info = np.iinfo(dtype)
    if bounds(values) > min(-int(info.min) if info.min else int(info.max), int(info.max)):
        low, high = int(values.min()), int(values.max())
        if low < info.min or high > info.max:
            raise CommandError(f"results from {low} to {high} do not fit {dtype.name}: not modelled")
    return values
