"""Operations that move bytes and compute nothing: copy, permute, pad, concat, gather rows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Self

import numpy as np

from mcu_build.ir.calls.call import Call, Read, Written
from mcu_build.ir.calls.rows import axis_of, height_of, share_of_rows
from mcu_build.ir.calls.struct import Ints4, Ints6, Struct
from mcu_build.ir.channels import Coupling, Cut, Range, Values, by_channel, channels_of
from mcu_build.ir.tensor import Tensor

# A copy may be to any place: no distance keeps its output from its input.
_ANYWHERE = -(1 << 40)


@dataclass(frozen=True)
class CopyParams(Struct):
    """Parameters of copy.h."""

    bytes: int


@dataclass(frozen=True)
class PermuteParams(Struct):
    """Parameters of permute.h."""

    element_bytes: int
    shape: Ints6
    strides: Ints6


@dataclass(frozen=True)
class PadParams(Struct):
    """Parameters of pad.h."""

    shape: Ints4
    inside: Ints4
    strides: Ints4
    before: Ints4
    value: int


@dataclass(frozen=True)
class ConcatParams(Struct):
    """Parameters of concat.h."""

    rows: int
    bytes: int
    stride: int
    offset: int


@dataclass(frozen=True)
class GatherRowsParams(Struct):
    """Parameters of gather_rows.h."""

    rows: int
    bytes: int
    stride: int


@dataclass(frozen=True)
class GatherRingParams(Struct):
    """Parameters of gather_ring.h."""

    rows: int
    bytes: int
    stride: int
    past: int
    size: int


@dataclass(frozen=True)
class Movement(Call):
    """What all of them have: they compute nothing."""

    @property
    def computes(self) -> bool:
        """No."""
        return False


@dataclass(frozen=True)
class Copy(Movement):
    """The same bytes at another place, apart from the first."""

    KERNEL, SOURCE = "copy", "copy"

    params: CopyParams
    input: Read
    output: Written

    @classmethod
    def of(cls, source: Tensor, output: Tensor) -> Self:
        """All bytes of `source`."""
        return cls(CopyParams(source.nbytes), source.id, output.id)


@dataclass(frozen=True)
class Take(Copy):
    """Rows of an input that the application brings one by one: into the arena, where the model reads them."""

    def needed_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Mapping[int, range] | None:
        """The same."""
        return {self.input: rows}

    def of_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Self:
        """Fewer of them."""
        share = share_of_rows(self.params.bytes, tensors[self.output], rows)
        return replace(self, params=CopyParams(share))


@dataclass(frozen=True)
class Move(Copy):
    """The same bytes at another place, anywhere: the two may share memory."""

    def inplace_distances(self, tensors: Mapping[int, Tensor]) -> Mapping[int, int]:
        """None that is too small."""
        return {self.input: _ANYWHERE}


@dataclass(frozen=True)
class Permute(Movement):
    """Blocks of bytes in another order."""

    KERNEL, SOURCE = "permute", "permute"

    params: PermuteParams
    input: Read
    output: Written


@dataclass(frozen=True)
class Pad(Movement):
    """Elements around a tensor, all of one value, its bits in `params.value`."""

    SOURCE = "pad"

    params: PadParams
    input: Read
    output: Written
    bits: int

    @property
    def kernel(self) -> str:
        """One for each size of an element."""
        return f"pad_x{self.bits}"

    @property
    def byte(self) -> int:
        """The value of an int8 element."""
        return ((self.params.value & 0xFF) ^ 0x80) - 0x80

    def needed_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Mapping[int, range] | None:
        """Those of the image inside, where rows are rows of the image."""
        params, source, output = self.params, tensors[self.input], tensors[self.output]
        images = height_of(source) is not None and height_of(output) is not None
        axis = axis_of(output)
        if (
            not images
            or axis_of(source) != axis
            or (source.shape, output.shape) != (params.inside, params.shape)
        ):
            return None
        height, before = params.inside[axis], params.before[axis]
        first, last = (min(max(row - before, 0), height) for row in (rows.start, rows.stop))
        return {self.input: range(first, last)}

    def of_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Self:
        """Rows of the image, rows of the value, or both."""
        own, needed = self.params, self.needed_rows(tensors, rows)
        assert needed is not None
        axis = axis_of(tensors[self.output])
        above = max(own.before[axis] - rows.start, 0) if needed[self.input] else 0

        def along(values: tuple[int, ...], value: int) -> tuple[int, ...]:
            return (*values[:axis], value, *values[axis + 1 :])

        params = replace(
            own,
            shape=along(own.shape, len(rows)),
            inside=along(own.inside, len(needed[self.input])),
            before=along(own.before, above),
        )
        return replace(self, params=params)

    def value_range(self, values: Values) -> Range | None:
        """That of the input, and the value, where whole channels are padded."""
        wide = [position for position, size in enumerate(self.params.shape) if size != 1]
        if self.bits != 8 or not wide or self.params.shape[wide[-1]] != self.params.inside[wide[-1]]:
            return None
        around = np.full(1, self.byte)
        return values.of(self.input, channels_of(values.tensor(self.output))).hull(Range(around, around))

    def coupled_channels(self, tensors: Mapping[int, Tensor]) -> list[Coupling] | None:
        """Channel by channel, of whole pixels that lie together."""
        params = self.params
        channels = params.shape[-1]
        dense = [prod(params.inside[position + 1 :]) for position in range(4)]
        rows = zip(params.inside, params.strides, dense, strict=True)
        fits = (
            self.bits == 8
            and all(size == 1 or have == want for size, have, want in rows)
            and params.inside[-1] == channels
            and all(channels_of(tensors[id]) == channels for id in (self.input, self.output))
        )
        return [by_channel(self.input, self.output, channels)] if fits else None

    def without_channels(self, cut: Cut) -> Self:
        """Smaller pixels."""
        own, kept = self.params, int(cut.keep[self.output].sum())
        # Strides of sizes of 1 mean nothing.
        outer = (cut.share(self.output, stride) for stride in own.strides[:-1])
        params = replace(
            own,
            shape=(*own.shape[:-1], kept),
            inside=(*own.inside[:-1], kept),
            strides=(*outer, own.strides[-1]),
        )
        return replace(self, params=params)


@dataclass(frozen=True)
class Concat(Movement):
    """One operand of a concatenation: its rows to their place in rows of the output."""

    KERNEL, SOURCE = "concat", "concat"

    params: ConcatParams
    input: Read
    output: Written

    def needed_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Mapping[int, range] | None:
        """The same, where it puts channels behind channels or pixels beside pixels."""
        params, source, output = self.params, tensors[self.input], tensors[self.output]
        height = height_of(output)
        fits = height is not None and height_of(source) == height and params.rows % height == 0
        whole = (params.rows * params.bytes, params.rows * params.stride) == (source.nbytes, output.nbytes)
        return {self.input: rows} if fits and whole else None

    def of_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Self:
        """Fewer of them."""
        share = share_of_rows(self.params.rows, tensors[self.output], rows)
        return replace(self, params=replace(self.params, rows=share))

    def _adds_channels(self, read: int, written: int) -> bool:
        """Whether a row is a pixel: channels behind channels."""
        return (self.params.bytes, self.params.stride) == (read, written)

    def _keeps_pixels(self, channels: int) -> bool:
        """Whether rows are whole pixels: pixels behind pixels."""
        params = self.params
        return all(size % channels == 0 for size in (params.bytes, params.stride, params.offset))

    def value_range(self, values: Values) -> Range | None:
        """Channels into their place among the output's, or pixels beside pixels."""
        params, source = self.params, values.of(self.input)
        channels, so_far = channels_of(values.tensor(self.output)), values.known(self.output)
        if self._adds_channels(len(source.low), channels):
            whole = so_far or Range.whole(channels)
            low, high = whole.low.copy(), whole.high.copy()
            place = slice(params.offset, params.offset + params.bytes)
            low[place], high[place] = source.low, source.high
            return Range(low, high)
        if not self._keeps_pixels(channels):
            return Range.whole(channels)
        span = source.over(channels)
        return span if so_far is None else span.hull(so_far)

    def coupled_channels(self, tensors: Mapping[int, Tensor]) -> list[Coupling] | None:
        """Channels behind channels, or whole pixels behind pixels."""
        read, written = (channels_of(tensors[id]) for id in (self.input, self.output))
        if self._adds_channels(read, written):
            return [(self.input, np.arange(read), self.output, self.params.offset + np.arange(read))]
        if self._keeps_pixels(written) and read == written:
            return [by_channel(self.input, self.output, written)]
        return None

    def without_channels(self, cut: Cut) -> Self:
        """Shorter rows."""
        own, keep = self.params, cut.keep[self.output]
        adds = self._adds_channels(channels_of(cut.plan[self.input]), len(keep))
        params = replace(
            own,
            bytes=cut.share(self.input, own.bytes),
            stride=cut.share(self.output, own.stride),
            offset=int(keep[: own.offset].sum()) if adds else cut.share(self.output, own.offset),
        )
        return replace(self, params=params)


@dataclass(frozen=True)
class GatherRows(Movement):
    """Rows of the input at equal distances, one behind the other."""

    KERNEL, SOURCE = "gather_rows", "gather_rows"

    params: GatherRowsParams
    input: Read
    output: Written

    def value_range(self, values: Values) -> Range | None:
        """Pixels of the input."""
        return values.of(self.input, channels_of(values.tensor(self.output)))

    def coupled_channels(self, tensors: Mapping[int, Tensor]) -> list[Coupling] | None:
        """Channel by channel."""
        read, written = (channels_of(tensors[id]) for id in (self.input, self.output))
        pixels = all(size % written == 0 for size in (self.params.bytes, self.params.stride))
        return [by_channel(self.input, self.output, written)] if pixels and read == written else None

    def without_channels(self, cut: Cut) -> Self:
        """Smaller pixels."""
        size, stride = (cut.share(self.input, n) for n in (self.params.bytes, self.params.stride))
        return replace(self, params=replace(self.params, bytes=size, stride=stride))


@dataclass(frozen=True)
class GatherRing(Movement):
    """Rows at equal distances of a ring, to which a new sample is added first: `start` is its first byte."""

    KERNEL, SOURCE = "gather_ring", "gather_ring"

    params: GatherRingParams
    input: Read
    output: Written
    ring: Written
    start: Written
