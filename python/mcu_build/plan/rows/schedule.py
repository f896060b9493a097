"""When a chain of layers makes which rows of its images, and how many of them it keeps.

The last layer of a chain sets the pace: for each band of its rows, every layer before it makes just the rows
that are needed, as late as possible; images that others read, too, are made as evenly. No row is computed
twice. Of an image that only the chain uses, those rows are kept that are still to be read.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mcu_build.ir.calls.call import Call
from mcu_build.ir.calls.rows import height_of
from mcu_build.ir.tensor import Tensor


@dataclass(frozen=True)
class Band:
    """Rows that a layer makes, by its index in the chain; those from `kept` on are still needed."""

    layer: int
    rows: range
    kept: int


@dataclass(frozen=True)
class Schedule:
    """The bands of a chain, in their order.

    `capacity` are the most rows that are kept at once of each image that only the chain uses, and `alive` for
    each layer those among these images that hold something while it runs. `lead` says for images that are
    read by how many bytes its last output, filled in order, is ahead of what is still needed of them.
    """

    bands: tuple[Band, ...]
    capacity: Mapping[int, int]
    alive: tuple[frozenset[int], ...]
    lead: Mapping[int, int]


# By a call's id, and the first and the last of its rows.
Needs = dict[tuple[int, int, int], Mapping[int, range] | None]


class CannotRunError(Exception):
    """A layer that does not work row by row."""


def output_of(call: Call) -> int:
    """What a layer of a chain makes."""
    (output,) = call.writes
    return output


def needs_key(call: Call, rows: range) -> tuple[int, int, int]:
    """Under which it is kept what a call needs for these rows."""
    return id(call), rows.start, rows.stop


def schedule(
    calls: Sequence[Call], tensors: Mapping[int, Tensor], inner: Collection[int], band: int, needs: Needs
) -> Schedule | None:
    """How `calls` run in bands of up to `band` rows; None where one of them cannot.

    Nobody else uses the images `inner`; all others are made whole. `needs` keeps what calls have answered.
    """
    try:
        return _Chain(calls, tensors, inner, band, needs).schedule()
    except CannotRunError:
        return None


class _Chain:
    def __init__(
        self,
        calls: Sequence[Call],
        tensors: Mapping[int, Tensor],
        inner: Collection[int],
        band: int,
        needs: Needs,
    ) -> None:
        self._calls = calls
        self._needs = needs
        self._tensors = tensors
        self._band = band
        self._outputs = [output_of(call) for call in calls]
        self._inner = tuple(dict.fromkeys(id for id in self._outputs if id in inner))
        self._readers: dict[int, list[int]] = defaultdict(list)
        self._makers: dict[int, list[int]] = defaultdict(list)
        self._next = [self._noted(index) for index in range(len(calls))]
        if not all(id in self._readers for id in self._inner):
            raise CannotRunError
        self._heights = {id: self._height(id) for id in {*self._readers, *self._outputs}}
        # Bytes of a row of each image.
        self._row = {id: tensors[id].nbytes // height for id, height in self._heights.items()}
        self._made = [0] * len(calls)
        # For each image the first row that is still to be read, and the row up to which it is made.
        self._kept = {id: self._still_needed(id) for id in self._heights}
        self._filled = dict.fromkeys(self._heights, 0)
        self._bands: list[Band] = []
        self._capacity: dict[int, int] = dict.fromkeys(self._inner, 0)
        self._alive: list[set[int]] = [set() for _ in calls]
        # Images of `inner` of which something is kept.
        self._held: set[int] = set()
        self._lead = dict.fromkeys(self._readers, 0)

    def _noted(self, index: int) -> Mapping[int, range]:
        """Note what a layer reads and makes; the rows that it reads for its first one."""
        call, output = self._calls[index], self._outputs[index]
        self._makers[output].append(index)
        needed = self._needed(index, range(1))
        whole = {id for id in call.arguments if id is not None and id not in call.writes} - needed.keys()
        if whole & self._makers.keys() or output in needed:
            raise CannotRunError
        for id in (output, *needed):
            if self._tensors[id].alias_of is not None or not self._height(id):
                raise CannotRunError
        for id in needed:
            self._readers[id].append(index)
        return needed

    def schedule(self) -> Schedule:
        last = len(self._calls) - 1
        height = self._heights[self._outputs[-1]]
        whole = [index for index in range(last) if self._outputs[index] not in self._capacity]
        for end in range(self._band, height + self._band, self._band):
            self._make(last, end)
            # Images that are made whole keep pace, so that nothing that they are made of waits for them.
            for index in whole:
                self._make(index, self._heights[self._outputs[index]] * min(end, height) // height)
        alive = tuple(map(frozenset, self._alive))
        return Schedule(tuple(self._bands), self._capacity, alive, self._lead)

    def _make(self, layer: int, end: int) -> None:
        """Have a layer make its rows up to `end`, and before it what is missing for them."""
        end = min(end, self._heights[self._outputs[layer]])
        while (first := self._made[layer]) < end:
            rows = range(first, min(first + self._band, end))
            for id, needed in self._needed(layer, rows).items():
                for maker in self._makers.get(id, ()):
                    self._make(maker, needed.stop)
            self._run(layer, rows)

    def _run(self, layer: int, rows: range) -> None:
        output = self._outputs[layer]
        kept = self._kept[output]
        if output in self._capacity:
            self._capacity[output] = max(self._capacity[output], rows.stop - kept)
        self._bands.append(Band(layer, rows, kept))
        self._made[layer] = rows.stop
        self._filled[output] = max(self._filled[output], rows.stop)
        if output in self._capacity and self._filled[output] > kept:
            self._held.add(output)
        self._alive[layer] |= self._held
        read = self._next[layer]
        if rows.stop < self._heights[output]:
            self._next[layer] = self._needed(layer, range(rows.stop, rows.stop + 1))
        for id in read:
            self._kept[id] = self._still_needed(id)
            if self._filled[id] <= self._kept[id]:
                self._held.discard(id)
        if layer == len(self._calls) - 1:
            for id in self._lead:
                ahead = rows.stop * self._row[output] - self._kept[id] * self._row[id]
                self._lead[id] = max(self._lead[id], ahead)

    def _still_needed(self, id: int) -> int:
        """The first row of an image that is still to be read; its height where that is none."""
        unfinished = (
            layer for layer in self._readers[id] if self._made[layer] < self._heights[self._outputs[layer]]
        )
        return min((self._next[layer][id].start for layer in unfinished), default=self._heights[id])

    def _needed(self, layer: int, rows: range) -> Mapping[int, range]:
        key = needs_key(self._calls[layer], rows)
        if key not in self._needs:
            self._needs[key] = self._calls[layer].needed_rows(self._tensors, rows)
        needed = self._needs[key]
        if not needed:
            raise CannotRunError
        return needed

    def _height(self, id: int) -> int:
        return height_of(self._tensors[id]) or 0
