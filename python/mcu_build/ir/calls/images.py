"""What calls share that make an image of another, channel by channel."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from mcu_build.ir.calls.call import Call, Read, Written
from mcu_build.ir.calls.rows import images_fit
from mcu_build.ir.calls.struct import ImageSize, Pair, Struct
from mcu_build.ir.channels import Coupling, Cut, Range, Values, by_channel, channels_of
from mcu_build.ir.tensor import Tensor


@dataclass(frozen=True)
class UpsampleParams(Struct):
    """Parameters of upsample.h."""

    batch: int
    input: ImageSize
    output: ImageSize
    factor: Pair
    above: int


class ByChannel(Call):
    """One image of another; `params` hold the size of both, as `input` and `output`."""

    params: Any
    input: int
    output: int

    def coupled_channels(self, tensors: Mapping[int, Tensor]) -> list[Coupling] | None:
        """Channel by channel."""
        channels = channels_of(tensors[self.output])
        if self.params.output.channels != channels or channels_of(tensors[self.input]) != channels:
            return None
        return [by_channel(self.input, self.output, channels)]

    def without_channels(self, cut: Cut) -> Self:
        """Both images with fewer channels."""
        read = cut.share(self.input, self.params.input.channels)
        made = cut.share(self.output, self.params.output.channels)
        params = replace(
            self.params,
            input=replace(self.params.input, channels=read),
            output=replace(self.params.output, channels=made),
        )
        return replace(self, params=params)


@dataclass(frozen=True)
class Upsample(ByChannel):
    """Each pixel of an int8 image several times, below and beside itself."""

    KERNEL, SOURCE = "upsample_s8", "upsample"

    params: UpsampleParams
    input: Read
    output: Written

    @property
    def computes(self) -> bool:
        """No."""
        return False

    def inplace_distances(self, tensors: Mapping[int, Tensor]) -> Mapping[int, int]:
        """The last row of the input is read when the first of its rows of the output is written."""
        params = self.params
        before = params.batch - 1
        first = max((params.input.height - 1) * params.factor.y - params.above, 0)
        written = (before * params.output.height + first + 1) * params.output.row
        read = (params.batch * params.input.height - 1) * params.input.row
        return {self.input: max(written - read, params.output.row)}

    def needed_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Mapping[int, range] | None:
        """Those that are repeated."""
        params = self.params
        fits = images_fit(params, tensors[self.input], tensors[self.output])
        if not fits or params.input.height == 1 < params.input.width:
            return None
        first, last = (row + params.above for row in (rows.start, rows.stop - 1))
        return {self.input: range(first // params.factor.y, last // params.factor.y + 1)}

    def of_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Self:
        """The first row of the input may be repeated above already."""
        own, needed = self.params, self.needed_rows(tensors, rows)
        assert needed is not None
        params = replace(
            own,
            input=replace(own.input, height=len(needed[self.input])),
            output=replace(own.output, height=len(rows)),
            above=(rows.start + own.above) % own.factor.y,
        )
        return replace(self, params=params)

    def value_range(self, values: Values) -> Range | None:
        """The same values."""
        return values.of(self.input, channels_of(values.tensor(self.output)))
