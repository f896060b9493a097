"""Which chains of a plan run row by row, so that its arena takes no more than a number of bytes.

A chain costs cycles: calls for each band of rows, and copies of the rows that are kept. Chains are chosen by
dynamic programming over the steps: the cheapest of those, one behind the other, that leave no step with more
live bytes than are allowed. That is the optimum over all chains that are looked at, by an estimate that knows
no scratch memory and no gaps; so what is placed in the end may take more, and then less is asked for.

The same search with bytes that no placement can do without proves how far an arena is from the least: no plan
that is thought to cost as few cycles takes less (`Search.least`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from mcu_build.ir.calls.rows import height_of
from mcu_build.ir.plan import ALIGNMENT, Plan
from mcu_build.plan.memory.allocate import lifetimes, live_bytes
from mcu_build.plan.memory.concat_in_place import operands_in_place
from mcu_build.plan.rows.build import Chain
from mcu_build.plan.rows.costs import CYCLES_OF_CALL, Costs, CostsOfChains

# Rows of a band that are tried, the widest first.
_BANDS = (8, 4, 2, 1)
# Layers of a chain at most, and bands that are tried: the first of these for which no more bands have to be
# looked at than `_MOST_BANDS`, in a plan of so many layers; in a longer one fewer. A band takes some 10
# microseconds. No clock is read: every computer makes the same plan.
_EFFORTS = (
    *((layers, _BANDS) for layers in (32, 16, 8)),
    *((8, _BANDS[:count]) for count in (3, 2)),
    *((4, _BANDS[:count]) for count in (2, 1)),
)
_MOST_BANDS, _FEW_LAYERS, _LEAST_BANDS = 200_000, 200, 100_000
# Narrowest bands of a series of which there are more, twice as many at most.
_MOST_OF_SERIES = 64
# Calls of all plans together that are placed for one model, about at most.
_MOST_PLACED = 60_000
# How often less is asked for, where placing takes more than was thought.
_MOST_TRIES = 6

# By how much each choice of the front takes less than the one before.
_FINER = 0.95

Finish = Callable[[Sequence[Chain]], Plan]


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


class Search:
    """Chains of a plan that is not placed yet, with their costs, each of them looked at once.

    `whole` are the live bytes of each step by the kernels of the core; else those of the plan's own.
    """

    def __init__(self, plan: Plan, whole: Sequence[int] | None = None) -> None:
        self._plan = plan
        self._live = live_bytes(plan)[1:-1]
        self._parts = operands_in_place(plan)
        self._live_least = self._without_parts(self._live if whole is None else whole)
        self._costs = CostsOfChains(plan, self._parts)
        outputs = [plan.tensors[step.call.writes[0]] for step in plan.steps]
        self._heights = [height_of(tensor) or 1 for tensor in outputs]
        self._is_series = [len(tensor.shape) == 3 or tensor.shape[1:2] == (1,) for tensor in outputs]
        self._most_bands = max(_LEAST_BANDS, _MOST_BANDS * _FEW_LAYERS // max(len(outputs), _FEW_LAYERS))
        self._layers, self._bands = next(filter(self._is_little, _EFFORTS), _EFFORTS[-1])
        self._is_cut = (self._layers, self._bands) != _EFFORTS[0]
        self._costs.shorten(self._layers)
        self._front: tuple[Choice, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether no chain was left out."""
        return not self._is_cut

    def _is_little(self, effort: tuple[int, tuple[int, ...]]) -> bool:
        """Whether it takes few bands to look at the chains of so many layers, with these rows in a band."""
        layers, bands = effort
        heights = zip(self._heights, self._is_series, strict=True)
        made = [0, *accumulate(height // (_unit(height) if series else 1) for height, series in heights)]
        rows = (made[end] - made[max(first, end - layers)] for end, first in enumerate(self._costs.firsts))
        return sum(rows) * sum(1 / band for band in bands) <= self._most_bands

    def within(self, most: int, least: bool = False) -> Choice | None:
        """The cheapest chains with which no step has more than `most` live bytes; None: there are none.

        `least`: by bytes that no placement can do without.
        """
        live = self._live_least if least else self._live
        count = len(live)
        best: list[Choice | None] = [Choice(), *[None] * count]
        for at in range(count):
            here = best[at]
            if here is None:
                continue
            options = {at + 1: [here.passing(live[at])]} if live[at] <= most else {}
            for costs in self._chains(at, most, least):
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
        return len(self._plan.steps) + int(choice.cycles / CYCLES_OF_CALL)

    def smaller(self, least: bool = False) -> Iterator[Choice]:
        """The front: choices of ever fewer live bytes, from no chains to as few bytes as there can be."""
        choice = Choice(nbytes=max(self._live_least if least else self._live, default=0))
        yield choice
        too_few = 0
        while (asked := max(int(choice.nbytes * _FINER), (too_few + choice.nbytes) // 2)) < choice.nbytes:
            smaller = self.within(asked, least)
            if smaller is None:
                # The last steps are smaller ones, until there is nothing between.
                too_few = asked
                if choice.nbytes - asked <= ALIGNMENT:
                    return
            else:
                choice = smaller
                yield choice

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

    def _without_parts(self, live: Sequence[int]) -> list[int]:
        """Live bytes without those of operands that may be made where they are joined."""
        sizes = list(live)
        for block in (block for block in lifetimes(self._plan) if block.id in self._parts):
            for index in range(max(block.first, 0), min(block.last + 1, len(sizes))):
                sizes[index] -= block.size
        return sizes

    def _chains(self, first: int, most: int, least: bool) -> Iterator[Costs]:
        """Chains from a step on that are of use: they hold a step that is fuller than `most`, and are not."""
        live = self._live_least if least else self._live
        firsts, fullest = self._costs.firsts, live[first]
        rows, longest, is_series = self._heights[first], self._heights[first], self._is_series[first]
        for end in range(first + 2, len(live) + 1):
            if firsts[end] > first:
                break
            last = end - 1
            fullest, rows = max(fullest, live[last]), rows + self._heights[last]
            longest, is_series = max(longest, self._heights[last]), is_series and self._is_series[last]
            if fullest > most >= self._costs.around(first, end):
                unit = _unit(longest) if is_series else 1
                if costs := self._cheapest(Chain(first, end, unit), rows, most, least):
                    yield costs

    def _cheapest(self, narrowest: Chain, rows: int, most: int, least: bool) -> Costs | None:
        """A chain whose layers have so many rows with the bands that cost the fewest cycles."""
        best: Costs | None = None
        layers = narrowest.end - narrowest.first
        for band in (band * narrowest.band for band in self._bands):
            # There are no fewer calls.
            if best is not None and CYCLES_OF_CALL * (rows / band - layers) >= best.cycles:
                break
            if self._costs.bands > self._most_bands:
                self._is_cut = True
                break
            costs = self._costs.of(replace(narrowest, band=band))
            if costs is None:
                break
            if _bytes(costs, least) <= most and (best is None or costs.cycles < best.cycles):
                best = costs
        return best


def _unit(longest: int) -> int:
    """Pixels of the narrowest bands of a series: so many that there are few."""
    return 1 << max((longest // _MOST_OF_SERIES).bit_length() - 1, 0)


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
