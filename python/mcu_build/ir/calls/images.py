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
        given = self.params
        before = given.batch - 1
        first = max((given.input.height - 1) * given.factor.y - given.above, 0)
        written = (before * given.output.height + first + 1) * given.output.row
        read = (given.batch * given.input.height - 1) * given.input.row
        return {self.input: max(written - read, given.output.row)}

    def needed_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Mapping[int, range] | None:
        """Those that are repeated."""
        given = self.params
        if not images_fit(given, tensors[self.input], tensors[self.output]):
            return None
        first, last = (row + given.above for row in (rows.start, rows.stop - 1))
        return {self.input: range(first // given.factor.y, last // given.factor.y + 1)}

    def of_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Self:
        """The first row of the input may be repeated above already."""
        given, needed = self.params, self.needed_rows(tensors, rows)
        assert needed is not None
        params = replace(
            given,
            input=replace(given.input, height=len(needed[self.input])),
            output=replace(given.output, height=len(rows)),
            above=(rows.start + given.above) % given.factor.y,
        )
        return replace(self, params=params)

    def value_range(self, values: Values) -> Range | None:
        """The same values."""
        return values.of(self.input, channels_of(values.tensor(self.output)))
