"""Averages and maxima of windows over int8 images."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from mcu_build.ir.calls.call import Read, Written
from mcu_build.ir.calls.images import ByChannel
from mcu_build.ir.calls.rows import images_fit, row_distance, window_rows, windows_of_rows
from mcu_build.ir.calls.struct import ImageSize, Struct, Window
from mcu_build.ir.channels import Range, Values, channels_of
from mcu_build.ir.tensor import Tensor


@dataclass(frozen=True)
class AvgPool2dParams(Struct):
    """Parameters of pool.h."""

    batch: int
    input: ImageSize
    output: ImageSize
    window: Window


@dataclass(frozen=True)
class MaxPool2dParams(Struct):
    """Parameters of pool.h."""

    batch: int
    input: ImageSize
    output: ImageSize
    window: Window
    activation_min: int
    activation_max: int


@dataclass(frozen=True)
class Pool(ByChannel):
    """What all of them have: channels stay apart, values stay between those that they are of."""

    SOURCE = "pool"

    params: AvgPool2dParams | MaxPool2dParams
    input: Read
    output: Written

    def inplace_distances(self, tensors: Mapping[int, Tensor]) -> Mapping[int, int]:
        """By rows of the image."""
        params = self.params
        return {self.input: row_distance(params.batch, params.input, params.output, params.window)}

    def needed_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Mapping[int, range] | None:
        """Those that its windows see."""
        params = self.params
        needed = window_rows(params.input, params.window, rows)
        fits = images_fit(params, tensors[self.input], tensors[self.output])
        return {self.input: needed} if needed and fits else None

    def of_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Self:
        """Windows reach beyond the image only where those of the whole do."""
        return replace(self, params=windows_of_rows(self.params, rows))

    def _same_range(self, values: Values) -> Range:
        return values.of(self.input, channels_of(values.tensor(self.output)))


@dataclass(frozen=True)
class AvgPool2d(Pool):
    """Averages, in integers."""

    KERNEL = "avg_pool2d_s8"

    params: AvgPool2dParams

    def value_range(self, values: Values) -> Range | None:
        """That of what they are of: rounding keeps integers."""
        return self._same_range(values)


@dataclass(frozen=True)
class MaxPool2d(Pool):
    """Maxima, clamped."""

    KERNEL = "max_pool2d_s8"

    params: MaxPool2dParams

    def value_range(self, values: Values) -> Range | None:
        """That of what they are of, clamped."""
        return self._same_range(values).clipped(self.params.activation_min, self.params.activation_max)
