"""Several models in one arena: those that never run together share bytes.

A schedule says which models run together: "wake; wake, kws". What runs together has bytes of its own. Models
are placed as tensors are, but for what keeps them apart: first fit, of all orders of up to six models, which
is the least that any places take. With a limit, each model's plan is taken from its front: those plans that
fit and cost the fewest cycles together.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, permutations

from mcu_build.errors import Exit, McuError
from mcu_build.ir.tensor import aligned

# Orders of models that are tried, and choices of plans that are looked at.
_MOST_ORDERS = 720
_MOST_CHOICES = 5_000

Phases = tuple[frozenset[str], ...]


@dataclass(frozen=True)
class Places:
    """Where the arena of each model begins, and the bytes of all: no placement takes fewer than `bound`."""

    offsets: Mapping[str, int]
    size: int
    bound: int


@dataclass(frozen=True)
class Way:
    """A plan of a model: bytes of its arena, and cycles beyond those of its quickest plan."""

    nbytes: int
    cycles: int


def phases_of(schedule: str, models: Sequence[str]) -> Phases:
    """ "wake; wake, kws" → which models run together. McuError (status 2) where it is not of these models."""
    phases = [[name.strip() for name in phase.split(",")] for phase in schedule.split(";")]
    named = {name for phase in phases for name in phase}
    problems = [
        f"{name!r} is not among the models: {', '.join(models)}" for name in sorted(named - {*models})
    ]
    problems += [f"{name} never runs" for name in models if name not in named]
    if len(set(models)) < len(models):
        problems.append("two models have one name")
    if problems:
        raise McuError(
            "\n".join(f"--schedule: {problem}" for problem in problems),
            'Models between commas run together, those between semicolons never do: "wake; wake, kws".',
            Exit.USAGE,
        )
    return tuple(frozenset(phase) for phase in phases)


def places(sizes: Mapping[str, int], phases: Phases) -> Places:
    """The arenas of models in one."""
    apart = {frozenset(pair) for phase in phases for pair in combinations(phase, 2)}
    bound = max((sum(aligned(sizes[name]) for name in phase) for phase in phases), default=0)
    large_first = sorted(sizes, key=lambda name: (-sizes[name], name))
    best: Places | None = None
    for order in islice(permutations(large_first), _MOST_ORDERS):
        offsets = _first_fit(order, sizes, apart, bound)
        if best is None or offsets.size < best.size:
            best = offsets
        if best.size == bound:
            break
    assert best is not None, "there is always one order"
    return best


def _first_fit(
    order: Iterable[str], sizes: Mapping[str, int], apart: set[frozenset[str]], bound: int
) -> Places:
    offsets: dict[str, int] = {}
    for name in order:
        taken = sorted(
            (offsets[other], offsets[other] + aligned(sizes[other]))
            for other in offsets
            if frozenset((name, other)) in apart
        )
        at = 0
        for start, end in taken:
            if at + aligned(sizes[name]) <= start:
                break
            at = max(at, end)
        offsets[name] = at
    size = max((offsets[name] + aligned(sizes[name]) for name in offsets), default=0)
    return Places(offsets, size, bound)


def choose(fronts: Mapping[str, Sequence[Way]], phases: Phases, most: int | None) -> dict[str, int]:
    """For each model the number of its plan: the fewest cycles together whose arenas take `most` bytes.

    `fronts` are the plans of each, the quickest first, each smaller than the one before. Where none is small
    enough, the smallest of all that were looked at.
    """
    names = list(fronts)
    start = (0,) * len(names)
    waiting, seen = [(0, start)], {start}
    smallest, least = start, -1
    for _ in range(_MOST_CHOICES):
        if not waiting:
            break
        _, chosen = heapq.heappop(waiting)
        ways = [fronts[name][index] for name, index in zip(names, chosen, strict=True)]
        size = places({name: way.nbytes for name, way in zip(names, ways, strict=True)}, phases).size
        if most is None or size <= most:
            return dict(zip(names, chosen, strict=True))
        if least < 0 or size < least:
            smallest, least = chosen, size
        for position, name in enumerate(names):
            further = (*chosen[:position], chosen[position] + 1, *chosen[position + 1 :])
            if further[position] < len(fronts[name]) and further not in seen:
                seen.add(further)
                cycles = (fronts[name][index].cycles for name, index in zip(names, further, strict=True))
                heapq.heappush(waiting, (sum(cycles), further))
    last = tuple(len(fronts[name]) - 1 for name in names)
    sizes = {name: fronts[name][index].nbytes for name, index in zip(names, last, strict=True)}
    return dict(zip(names, last if places(sizes, phases).size < least else smallest, strict=True))
