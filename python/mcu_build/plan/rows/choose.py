"""Which chains of a plan run row by row, so that its arena takes no more than a number of bytes.

A chain costs cycles: calls for each band of rows, and copies of the rows that are kept. Chains are chosen by
dynamic programming over the steps: the cheapest of those, one behind the other, that leave no step with more
live bytes than are allowed. That is the optimum over all chains that are looked at, by an estimate that knows
no scratch memory and no gaps; so what is placed in the end may take more, and then less is asked for.

The same search with bytes that no placement can do without proves how far an arena is from the least: no plan
that is thought to cost as few cycles takes less (`Search.least`).
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mcu_build.ir.calls.rows import height_of
from mcu_build.ir.plan import Plan
from mcu_build.plan.memory.allocate import Block, lifetimes, live_bytes
from mcu_build.plan.memory.concat_in_place import operands_in_place
from mcu_build.plan.rows.build import Chain, scheduled
from mcu_build.plan.rows.schedule import Needs, Schedule, output_of

# Rows of a band that are tried, the cheapest first.
_BANDS = (8, 4, 2)
# Narrowest bands of a series of which there are more, twice as many at most.
_MOST_OF_SERIES = 64
# Layers of a chain, and chains of a plan that are looked at, at most. Short chains are looked at first: where
# the budget ends, there are some of all layers.
_LAYERS = (4, 8, 16, 32)
_MOST_CHAINS = 20_000
# Bands of all chains that the searches of one model look at, at most: of a plan of so many layers, of one
# with more fewer. A band takes some 10 microseconds. No clock is read: every computer makes the same plan.
_MOST_BANDS, _FEW_LAYERS, _LEAST_BANDS = 600_000, 200, 200_000
# Calls of all plans together that are placed for one model, about at most.
_MOST_PLACED = 60_000
# What a call costs beside its work, and a byte that is copied, in cycles.
_CYCLES_OF_CALL = 200
_CYCLES_OF_BYTE = 0.5
# How often less is asked for, where placing takes more than was thought.
_MOST_TRIES = 6

# By how much each choice of the front takes less than the one before.
_FINER = 0.95

Finish = Callable[[Sequence[Chain]], Plan]


@dataclass(frozen=True)
class Costs:
    """What a chain takes: live bytes at its fullest, and cycles beyond those of its layers one by one.

    `least` are those bytes without what a placement might share.
    """

    chain: Chain
    nbytes: int
    cycles: float
    least: int = 0


@dataclass(frozen=True)
class Choice:
    """Chains of a plan, in their order; live bytes at its fullest step, cycles that they cost together."""

    chains: tuple[Chain, ...] = ()
    nbytes: int = 0
    cycles: float = 0.0

    def then(self, costs: Costs, nbytes: int) -> "Choice":
        """With a chain behind that takes so many bytes."""
        return Choice((*self.chains, costs.chain), max(self.nbytes, nbytes), self.cycles + costs.cycles)

    def passing(self, live: int) -> "Choice":
        """With a step behind that runs as it is."""
        return Choice(self.chains, max(self.nbytes, live), self.cycles)


class Budget:
    """The work that is left to the searches of one model of so many layers: bands of chains."""

    def __init__(self, layers: int) -> None:
        share = _FEW_LAYERS / max(layers, _FEW_LAYERS)
        self.bands = max(_LEAST_BANDS, int(_MOST_BANDS * share))


class Search:
    """Chains of a plan that is not placed yet, with their costs, each of them looked at once.

    `whole` are the live bytes of each step by the kernels of the core; else those of the plan's own. Chains
    that `budget` is too small for are left out.
    """

    def __init__(self, plan: Plan, whole: Sequence[int] | None = None, budget: Budget | None = None) -> None:
        self._plan = plan
        self._blocks = {block.id: block for block in lifetimes(plan)}
        self._live = live_bytes(plan)[1:-1]
        self._parts = operands_in_place(plan)
        self._live_least = self._without_parts(self._live if whole is None else whole)
        self._needs: Needs = {}
        self._budget = budget or Budget(len(plan.steps))
        self._is_cut = False
        self._known: dict[Chain, Costs | None] = {}
        self._known_around: dict[tuple[int, int], int] = {}
        # Blocks by the step that they begin at, and by those that they are alive at.
        self._begin: dict[int, list[Block]] = defaultdict(list)
        self._alive: dict[int, list[Block]] = defaultdict(list)
        for block in self._blocks.values():
            self._begin[block.first].append(block)
            for step in range(block.first, block.last + 1):
                self._alive[step].append(block)
        self._longest = self._reach()
        self._front: tuple[Choice, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether no chain was left out."""
        return not self._is_cut

    def within(self, most: int, least: bool = False) -> Choice | None:
        """The cheapest chains with which no step has more than `most` live bytes; None: there are none.

        `least`: by bytes that no placement can do without.
        """
        *shorter, longest = _LAYERS if self._budget.bands > 0 else _LAYERS[-1:]
        for layers in shorter:
            self._within(most, least, layers)
        return self._within(most, least, longest)

    def _within(self, most: int, least: bool, layers: int) -> Choice | None:
        live = self._live_least if least else self._live
        count = len(live)
        best: list[Choice | None] = [Choice(), *[None] * count]
        for at in range(count):
            here = best[at]
            if here is None:
                continue
            options = {at + 1: [here.passing(live[at])]} if live[at] <= most else {}
            for costs in self._chains(at, most, least, layers):
                options.setdefault(costs.chain.end, []).append(here.then(costs, _bytes(costs, least)))
            for end, choices in options.items():
                there = [choice for choice in (best[end], *choices) if choice]
                best[end] = min(there, key=lambda choice: (choice.cycles, choice.nbytes))
        return best[count]

    def few_smaller(self) -> list[Choice]:
        """The front, its first and its last; between them no more than can be placed in time."""
        choices = list(self.smaller())
        while len(choices) > 2 and sum(map(self.calls, choices)) > _MOST_PLACED:
            choices = [*choices[:-1:2], choices[-1]]
        return choices

    def calls(self, choice: Choice) -> int:
        """Calls of the plan with these chains, at most."""
        return len(self._plan.steps) + int(choice.cycles / _CYCLES_OF_CALL)

    def smaller(self, least: bool = False) -> Iterator[Choice]:
        """The front: choices of ever fewer live bytes, from no chains to as few bytes as there can be."""
        choice: Choice | None = Choice(nbytes=max(self._live_least if least else self._live, default=0))
        while choice is not None:
            yield choice
            choice = self.within(int(choice.nbytes * _FINER), least)

    def least(self, cycles: float) -> int:
        """Bytes that the arena of each plan takes at least that costs no more cycles."""
        self._front = self._front or tuple(self.smaller(least=True))
        most = min(point.nbytes for point in self._front if point.cycles <= cycles)
        # The next one of the front costs more.
        too_few, asked = int(most * _FINER), most - 1
        while asked > too_few:
            less = self.within(asked, least=True)
            if less is not None and less.cycles <= cycles:
                most = less.nbytes
            else:
                too_few = asked
            asked = (too_few + most) // 2
        return too_few + 1

    def _reach(self) -> list[int]:
        """For each step the end of the longest run of steps from it on that may work row by row."""
        reach = [0] * len(self._plan.steps)
        for index in range(len(reach) - 1, -1, -1):
            works = (
                scheduled(self._plan, Chain(index, index + 1, 1 << 30), self._blocks, self._needs) is not None
            )
            later = reach[index + 1] if index + 1 < len(reach) else index + 1
            reach[index] = max(later, index + 1) if works else index
        layers = max(4, min(_LAYERS[-1], _MOST_CHAINS // max(len(reach), 1)))
        return [min(end, index + layers) for index, end in enumerate(reach)]

    def _without_parts(self, live: Sequence[int]) -> list[int]:
        """Live bytes without those of operands that may be made where they are joined."""
        sizes = list(live)
        for block in map(self._blocks.__getitem__, self._parts & self._blocks.keys()):
            for index in range(max(block.first, 0), min(block.last + 1, len(sizes))):
                sizes[index] -= block.size
        return sizes

    def _chains(self, first: int, most: int, least: bool, layers: int) -> Iterator[Costs]:
        """Chains from a step on that are of use: they hold a step that is fuller than `most`, and are not."""
        live = self._live_least if least else self._live
        for end in range(first + 2, min(self._longest[first], first + layers) + 1):
            if max(live[first:end]) <= most or self._around(first, end) > most:
                continue
            unit = self._narrowest(first, end)
            if (single := self._costs(Chain(first, end, unit))) is None:
                break
            if _bytes(single, least) <= most:
                wider = (self._costs(Chain(first, end, band * unit)) for band in _BANDS)
                yield next((costs for costs in wider if costs and _bytes(costs, least) <= most), single)

    def _narrowest(self, first: int, end: int) -> int:
        """Rows of the narrowest bands: one; of series, whose rows are pixels, so many that they are few."""
        outputs = [self._plan.tensors[output_of(step.call)] for step in self._plan.steps[first:end]]
        longest = max(height_of(tensor) or 1 for tensor in outputs)
        is_series = all(len(tensor.shape) == 3 or tensor.shape[1] == 1 for tensor in outputs)
        return 1 << max((longest // _MOST_OF_SERIES).bit_length() - 1, 0) if is_series else 1

    def _around(self, first: int, end: int) -> int:
        """Bytes that a chain takes at least: those of the images that it does not make in bands."""
        if (first, end) not in self._known_around:
            around = [block for block in self._whole_in(first, end) if block.id not in self._parts]
            output = self._blocks.get(output_of(self._plan.steps[end - 1].call))
            used_up = (block.size for block in around if block.last < end and block is not output)
            shared = min(output.size if output else 0, max(used_up, default=0))
            self._known_around[first, end] = sum(block.size for block in around) - shared
        return self._known_around[first, end]

    def _whole_in(self, first: int, end: int) -> Iterator[Block]:
        """The blocks that are needed whole while steps `first` to before `end` run row by row."""
        yield from (block for block in self._alive[first] if block.first < first or block.last >= end)
        for step in range(first + 1, end):
            yield from (block for block in self._begin[step] if block.last >= end)

    def _costs(self, chain: Chain) -> Costs | None:
        if chain not in self._known:
            if self._budget.bands <= 0:
                self._is_cut = True
                return None
            schedule = scheduled(self._plan, chain, self._blocks, self._needs)
            self._budget.bands -= len(schedule.bands) if schedule else 1
            self._known[chain] = self._estimate(chain, schedule) if schedule else None
        return self._known[chain]

    def _estimate(self, chain: Chain, schedule: Schedule) -> Costs:
        outputs = [output_of(step.call) for step in self._plan.steps[chain.first : chain.end]]
        tensors = [self._plan.tensors[id] for id in outputs]
        rows = {tensor.id: tensor.nbytes // (height_of(tensor) or 1) for tensor in tensors}
        held = max(sum(schedule.capacity[id] * rows[id] for id in ids) for ids in schedule.alive)
        around = sum(block.size for block in self._whole_in(chain.first, chain.end))
        live = around - self._shared(chain, schedule)
        copied = sum(
            (band.rows.start - band.kept) * rows[outputs[band.layer]]
            for band in schedule.bands
            if outputs[band.layer] in schedule.capacity
        )
        calls = len(schedule.bands) - (chain.end - chain.first)
        least = self._around(chain.first, chain.end) + self._held_least(chain, schedule, rows)
        return Costs(chain, held + live, _CYCLES_OF_CALL * calls + _CYCLES_OF_BYTE * copied, least)

    def _held_least(self, chain: Chain, schedule: Schedule, rows: Mapping[int, int]) -> int:
        """Bytes of rows that are kept while some layer runs, its output over the largest that it reads."""
        size = {id: count * rows[id] for id, count in schedule.capacity.items()}
        most = 0
        for step, alive in zip(self._plan.steps[chain.first : chain.end], schedule.alive, strict=True):
            read = max((size[id] for id in step.reads if id in size), default=0)
            shared = min(size.get(output_of(step.call), 0), read)
            most = max(most, sum(size[id] for id in alive) - shared)
        return most

    def _shared(self, chain: Chain, schedule: Schedule) -> int:
        """Bytes that the last output shares with an image that the chain uses up."""
        output = self._blocks.get(output_of(self._plan.steps[chain.end - 1].call))
        shared = 0
        for id, lead in schedule.lead.items():
            source = self._blocks.get(id)
            if source and output and source.last < chain.end:
                together = max(output.size, source.size + max(lead, 0))
                shared = max(shared, output.size + source.size - together)
        return shared


def _bytes(costs: Costs, least: bool) -> int:
    return costs.least if least else costs.nbytes


def fit_ram(search: Search, most: int, finish: Finish) -> Plan:
    """The plan with chains that run row by row: an arena of `most` bytes, else the smallest found.

    `finish` places the plan that is searched with the chains that it is given.
    """
    asked, calls = most, 0
    best: Plan | None = None
    for _ in range(_MOST_TRIES):
        choice = search.within(asked)
        if choice is None or calls > _MOST_PLACED:
            break
        calls += search.calls(choice)
        placed = finish(choice.chains)
        if best is None or placed.arena.size < best.arena.size:
            best = placed
        if placed.arena.size <= most and not placed.arena.over:
            return placed
        # Gaps of one placement say little of the next plan's: no more than a step of the front.
        over = max(placed.arena.size - most, placed.arena.over)
        asked = max(min(asked, choice.nbytes) - over, int(choice.nbytes * _FINER))
    *_, choice = search.smaller()
    leanest = finish(choice.chains)
    return leanest if best is None or leanest.arena.size < best.arena.size else best


def cheapest(plan: Plan, most: int, finish: Finish) -> Plan:
    """The plan of the front that costs the fewest cycles, with those that reads of slower memories wait.

    Of those that fit `most` bytes, and the memories; where none does, the one that lacks the least.
    """

    def cost(way: LowScratch) -> tuple[int, float]:
        arena = way.plan.arena
        return max(arena.size - most, arena.over, 0), way.cycles + arena.waits

    choices = Search(plan).few_smaller()
    every = (LowScratch(finish(choice.chains), int(choice.cycles)) for choice in choices)
    return min(every, key=cost).plan


@dataclass(frozen=True)
class LowScratch:
    """A placed plan, and the cycles that its bands are thought to cost.

    `least`: no plan that is thought to cost as few has an arena of fewer bytes; None where that is not known.
    """

    plan: Plan
    cycles: int
    least: int | None = None


def front(search: Search, finish: Finish, frugal: Finish | None = None) -> Iterator[LowScratch]:
    """Placed plans, each with a smaller arena than the one before; the first without chains.

    Where a placement takes more than has to be live, `frugal` may take less.
    """
    least: int | None = None
    for choice in search.few_smaller():
        placed = finish(choice.chains)
        ways = [placed]
        if frugal is not None and placed.arena.size > placed.arena.lower_bound:
            ways.append(frugal(choice.chains))
        for way in ways:
            if least is None or way.arena.size < least:
                least = way.arena.size
                yield LowScratch(way, int(choice.cycles))


def with_bounds(made: Sequence[LowScratch], searches: Sequence[tuple[int, Search]]) -> list[LowScratch]:
    """Plans with the least that any of these searches could find for as few cycles.

    Each search comes with cycles that its plans cost besides their bands.
    """

    def is_complete() -> bool:
        return all(search.is_complete for _, search in searches)

    def least(cycles: int) -> int | None:
        if not is_complete():
            return None
        # Cycles of plans are cut to whole ones.
        bounds = [search.least(cycles + 1 - more) for more, search in searches if more <= cycles]
        return min(bounds) if is_complete() else None

    return [replace(way, least=least(way.cycles)) for way in made]
