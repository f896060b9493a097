"""What chains of layers take that run row by row: live bytes and cycles, by an estimate.

The last layer of a chain sets the pace. So the layers of a chain make the same rows at the same time as those
of a longer one with the same end, and one schedule says what each chain with that end takes.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from mcu_build.ir.calls.rows import height_of
from mcu_build.ir.plan import Plan, Step
from mcu_build.plan.memory.allocate import Block, lifetimes
from mcu_build.plan.rows.build import Chain, scheduled
from mcu_build.plan.rows.schedule import Needs, Schedule, output_of

# What a call costs beside its work, and a byte that is copied, in cycles.
CYCLES_OF_CALL = 200
_CYCLES_OF_BYTE = 0.5


@dataclass(frozen=True)
class Costs:
    """What a chain takes: live bytes at its fullest, and cycles beyond those of its layers one by one.

    `least` are those bytes without what a placement might share.
    """

    chain: Chain
    nbytes: int
    cycles: float
    least: int = 0


class CostsOfChains:
    """Costs of the chains of a plan. `parts` are images that may lie in what they are joined to."""

    def __init__(self, plan: Plan, parts: Collection[int]) -> None:
        self._plan = plan
        self._parts = parts
        self._blocks = {block.id: block for block in lifetimes(plan)}
        self._needs: Needs = {}
        # Blocks by the step that they begin at, and by those that they are alive at.
        self._begin: dict[int, list[Block]] = defaultdict(list)
        self._alive: dict[int, list[Block]] = defaultdict(list)
        for block in self._blocks.values():
            self._begin[block.first].append(block)
            for step in range(block.first, block.last + 1):
                self._alive[step].append(block)
        self._known: dict[tuple[int, int], dict[int, Costs | None]] = {}
        self._around_least: dict[tuple[int, int], int] = {}
        self.firsts = self._by_rows()
        # Bands of the schedules that were made.
        self.bands = 0

    def of(self, chain: Chain) -> Costs | None:
        """Those of one; None where it cannot run row by row."""
        known = self._known.setdefault((chain.end, chain.band), {})
        if not known:
            self._note(known, replace(chain, first=self.firsts[chain.end]))
        if chain.first not in known:
            # An image of it begins before it, but not before a longer chain.
            self._note(known, chain)
        return known[chain.first]

    def around(self, first: int, end: int) -> int:
        """Bytes that a chain takes at least: those of the images that it does not make in bands."""
        if (first, end) not in self._around_least:
            around = [block for block in self._whole_in(first, end) if block.id not in self._parts]
            output = self._blocks.get(output_of(self._plan.steps[end - 1].call))
            used_up = (block.size for block in around if block.last < end and block is not output)
            shared = min(output.size if output else 0, max(used_up, default=0))
            self._around_least[first, end] = sum(block.size for block in around) - shared
        return self._around_least[first, end]

    def shorten(self, layers: int) -> None:
        """Have no chain of more layers."""
        self.firsts = [max(first, end - layers) for end, first in enumerate(self.firsts)]

    def _by_rows(self) -> list[int]:
        """For each end of chains the first step from which on all may work row by row."""
        firsts = [0]
        for index in range(len(self._plan.steps)):
            one = Chain(index, index + 1, 1 << 30)
            works = scheduled(self._plan, one, self._blocks, self._needs) is not None
            firsts.append(firsts[-1] if works else index + 1)
        return firsts

    def _whole_in(self, first: int, end: int) -> Iterator[Block]:
        """The blocks that are needed whole while steps `first` to before `end` run row by row."""
        yield from (block for block in self._alive[first] if block.first < first or block.last >= end)
        for step in range(first + 1, end):
            yield from (block for block in self._begin[step] if block.last >= end)

    def _note(self, known: dict[int, Costs | None], longest: Chain) -> None:
        """The costs of chains with an end, by their first step: those that the schedule of one tells."""
        schedule = scheduled(self._plan, longest, self._blocks, self._needs)
        self.bands += len(schedule.bands) if schedule else 1
        known |= self._of(longest, schedule) if schedule else {longest.first: None}

    def _of(self, longest: Chain, schedule: Schedule) -> Iterator[tuple[int, Costs | None]]:
        """Those of a chain and of the shorter ones with its end, the shortest first."""
        first, end = longest.first, longest.end
        parts = _Suffixes(self._plan.steps[first:end], schedule, self._row)
        # The first step that a chain has to have for its images to begin in it.
        begins = end
        for step in range(end - 1, first - 1, -1):
            cycles = parts.add(step - first)
            if (id := output_of(self._plan.steps[step].call)) in schedule.capacity:
                begins = min(begins, self._blocks[id].first)
            if begins >= step and step < end - 1:
                chain = Chain(step, end, longest.band)
                around = sum(block.size for block in self._whole_in(step, end))
                shared = self._shared(chain, schedule)
                held, least = parts.held()
                yield step, Costs(chain, held + around - shared, cycles, self.around(step, end) + least)

    def _row(self, id: int) -> int:
        """Bytes of a row of an image."""
        tensor = self._plan.tensors[id]
        return tensor.nbytes // (height_of(tensor) or 1)

    def _shared(self, chain: Chain, schedule: Schedule) -> int:
        """Bytes that the last output shares with an image that the chain uses up."""
        steps = self._plan.steps[chain.first : chain.end]
        output = self._blocks.get(output_of(steps[-1].call))
        sources = {id for step in steps for id in step.reads} - {output_of(step.call) for step in steps}
        shared = 0
        for id in sources & schedule.lead.keys():
            source = self._blocks.get(id)
            if source and output and source.last < chain.end:
                together = max(output.size, source.size + max(schedule.lead[id], 0))
                shared = max(shared, output.size + source.size - together)
        return shared


class _Suffixes:
    """What the last layers of a chain take, one more at a time, its last first."""

    def __init__(self, steps: Sequence[Step], schedule: Schedule, row: Callable[[int], int]) -> None:
        self._reads = [step.reads for step in steps]
        self._outputs = [output_of(step.call) for step in steps]
        self._row = row
        self._capacity = schedule.capacity
        self._bands = Counter(band.layer for band in schedule.bands)
        self._copied: Counter[int] = Counter()
        for band in schedule.bands:
            self._copied[band.layer] += band.rows.start - band.kept
        self._alive: dict[int, list[int]] = defaultdict(list)
        for layer, ids in enumerate(schedule.alive):
            for id in ids:
                self._alive[id].append(layer)
        self._first = len(steps)
        self._size: dict[int, int] = {}
        self._held = [0] * len(steps)
        self._cycles = 0.0

    def add(self, layer: int) -> float:
        """The layer before; cycles with it."""
        self._first = layer
        id = self._outputs[layer]
        self._cycles += CYCLES_OF_CALL * (self._bands[layer] - 1)
        if id in self._capacity:
            self._cycles += _CYCLES_OF_BYTE * self._copied[layer] * self._row(id)
            if id not in self._size:
                self._size[id] = self._capacity[id] * self._row(id)
                for reader in self._alive[id]:
                    self._held[reader] += self._size[id]
        return self._cycles

    def held(self) -> tuple[int, int]:
        """Bytes of rows that are kept while some layer runs; with its output over what it reads, too."""
        layers = range(self._first, len(self._reads))
        return max(self._held[layer] for layer in layers), max(map(self._held_least, layers))

    def _held_least(self, layer: int) -> int:
        read = max((self._size.get(id, 0) for id in self._reads[layer]), default=0)
        return self._held[layer] - min(self._size.get(self._outputs[layer], 0), read)
