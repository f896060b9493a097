"""Place every activation in one arena.

Two tensors may share bytes when no step needs both, or when the step that ends the one and begins the other
works in an order that lets its output follow its input (Call.inplace_distances). Placing them best is
NP-hard; greedy placement in a good order is usually optimal for the chains that networks are, so a few orders
are tried and then improved by moving single tensors, until the lower bound is met or the tries are used up.
Plans of many thousand tensors are placed in the order of time alone. Deterministic.
"""

import random
from bisect import insort
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import lcm

from mcu_build.ir.plan import Arena, Plan, Step
from mcu_build.ir.tensor import ALIGNMENT, aligned

# Tries of the improvement, for each tensor. Enough to find the optimum of every model in tests/models.
_TRIES_PER_TENSOR = 16
_MAX_TRIES = 2000
# Tensors placed in all tries together.
_MAX_PLACED = 400_000
# Plans of more tensors are placed by the orders alone.
_MOST_IMPROVED = 500
# Pairs of tensors that are alive together, beyond which only those alive at a time are looked at.
_MOST_MEETINGS = 100_000
_MEETINGS_PER_TENSOR = 50


@dataclass(frozen=True)
class Distance:
    """How far below its input an output starts: `least` bytes or more, a multiple of `multiple`."""

    least: int
    multiple: int = ALIGNMENT

    @classmethod
    def of(cls, least: int, multiple: int) -> "Distance":
        """The same for aligned tensors."""
        together = lcm(multiple, ALIGNMENT)
        return cls(-(-least // together) * together, together)


# By the ids of the owners of (input, output).
Distances = Mapping[tuple[int, int], Distance]


@dataclass(frozen=True)
class Block:
    """Bytes that one tensor owns, needed from step `first` to step `last`, both included."""

    id: int
    size: int
    first: int
    last: int

    def meets(self, other: "Block") -> bool:
        """Whether some step needs both."""
        return self.first <= other.last and other.first <= self.last


def place(plan: Plan) -> Plan:
    """Give every activation its offset in the arena."""
    blocks = lifetimes(plan)
    distances = block_distances(plan, blocks)
    live = live_of(blocks, distances, len(plan.steps))
    bound = max(live, default=0)
    offsets, size = best_placement(blocks, distances, bound)
    peak = max(range(len(plan.steps)), key=lambda step: live[step + 1], default=0)
    return plan.with_arena(Arena(size, offsets, peak, bound))


def live_bytes(plan: Plan) -> list[int]:
    """Bytes that are needed before the first step, at each of the steps, and after the last."""
    blocks = lifetimes(plan)
    return live_of(blocks, block_distances(plan, blocks), len(plan.steps))


def lifetimes(plan: Plan) -> list[Block]:
    """The blocks of a plan. Inputs live from step -1, before the first; outputs to one step past the last."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}

    def touch(id: int, step: int) -> None:
        owner = plan.owner(id)
        if not owner.is_constant and not owner.is_apart:
            first[owner.id] = min(first.get(owner.id, step), step)
            last[owner.id] = max(last.get(owner.id, step), step)

    for id in plan.inputs:
        touch(id, -1)
    for index, step in enumerate(plan.steps):
        for argument in step.arguments:
            if argument is not None:
                touch(argument, index)
    for id in plan.outputs:
        touch(id, len(plan.steps))
    return [Block(id, aligned(plan.tensors[id].nbytes), first[id], last[id]) for id in first]


def block_distances(plan: Plan, blocks: Sequence[Block]) -> Distances:
    """Pairs of blocks that may share bytes at a step: the last that needs the one, the first of the other."""
    by_id = {block.id: block for block in blocks}
    distances: dict[tuple[int, int], Distance] = {}
    for index, step in enumerate(plan.steps):
        for id in step.inplace:
            source, output = plan.owner(id).id, plan.owner(step.writes[0]).id
            distance = distance_of(plan, step, id)
            if distance is not None and by_id[source].last == index == by_id[output].first:
                distances[source, output] = distance
    return distances


def distance_of(plan: Plan, step: Step, id: int) -> Distance | None:
    """How far below its input `id` a step's output starts, where the step is the input's last; else None."""
    source, output = plan.owner(id), plan.owner(step.writes[0])
    whole = all(plan.tensors[t].nbytes == plan.owner(t).nbytes for t in (id, step.writes[0]))
    fixed = source.is_constant or source.is_apart
    if not whole or fixed or source.id == output.id or _read_twice(plan, step, id):
        return None
    return Distance.of(step.inplace[id], step.inplace_multiple)


def _read_twice(plan: Plan, step: Step, id: int) -> bool:
    """Whether the step reads the bytes of `id` through another argument too, in an order of its own."""
    owner = plan.owner(id).id
    return any(plan.owner(other).id == owner and other not in step.inplace for other in step.reads)


def live_of(blocks: Sequence[Block], distances: Distances, steps: int) -> list[int]:
    """Bytes of `blocks` that are needed before the first of so many steps, at each, and after the last."""
    grows = [0] * (steps + 3)
    for block in blocks:
        grows[block.first + 1] += block.size
        grows[block.last + 2] -= block.size
    live = list(accumulate(grows[:-1]))
    by_id = {block.id: block for block in blocks}
    saved: dict[int, int] = defaultdict(int)
    for (source, output), distance in distances.items():
        below, above = by_id[output], by_id[source]
        shared = below.size + above.size - max(below.size, above.size + distance.least)
        # One input at most can give its bytes to the output from their first to their last.
        saved[below.first] = max(saved[below.first], shared)
    for step, shared in saved.items():
        live[step + 1] -= shared
    return live


def best_placement(
    blocks: Sequence[Block], distances: Distances, bound: int
) -> tuple[Mapping[int, int], int]:
    """Offsets of blocks by their ids, and the bytes that they take together, `bound` at least."""
    meetings = _meetings(blocks)
    if meetings is None:
        backwards = [replace(block, first=-block.last, last=-block.first) for block in blocks]
        return min(
            (_by_time(order, distances) for order in (blocks, backwards)), key=lambda placement: placement[1]
        )
    return allocate(blocks, meetings, distances, bound)


def allocate(
    blocks: Sequence[Block], meetings: Mapping[int, Sequence[Block]], distances: Distances, bound: int
) -> tuple[Mapping[int, int], int]:
    """Offsets of blocks by their ids, and the bytes that they take together, `bound` at least.

    `meetings` are the others, by a block's id, that it shares no bytes with but for `distances`.
    """
    orders = [
        sorted(blocks, key=lambda b: (-b.size, b.first)),
        sorted(blocks, key=lambda b: (-b.size * (b.last - b.first + 1), b.first)),
        sorted(blocks, key=lambda b: (b.first - b.last, -b.size)),
        sorted(blocks, key=lambda b: (b.first, -b.size)),
        sorted(blocks, key=lambda b: (-b.last, -b.size)),
    ]
    best: tuple[Mapping[int, int], int] | None = None
    for order in orders:
        offsets = _greedy(order, meetings, distances)
        if best is None or offsets[1] < best[1]:
            best, best_order = offsets, order
    assert best is not None
    if not blocks:
        return best
    dice = random.Random(0)
    tries = min(_TRIES_PER_TENSOR * len(blocks), _MAX_TRIES, _MAX_PLACED // len(blocks))
    if len(blocks) > _MOST_IMPROVED:
        tries = 0
    for _ in range(tries):
        if best[1] <= bound:
            break
        order = list(best_order)
        order.insert(dice.randrange(len(order)), order.pop(dice.randrange(len(order))))
        offsets = _greedy(order, meetings, distances)
        if offsets[1] <= best[1]:
            best, best_order = offsets, order
    return best


def _meetings(blocks: Sequence[Block]) -> Mapping[int, list[Block]] | None:
    """The others that each block meets, by its id; None where these are too many to be kept."""
    meetings: dict[int, list[Block]] = {block.id: [] for block in blocks}
    alive: list[Block] = []
    pairs = 0
    for block in sorted(blocks, key=lambda b: b.first):
        alive = [other for other in alive if other.last >= block.first]
        pairs += len(alive)
        if pairs > max(_MOST_MEETINGS, _MEETINGS_PER_TENSOR * len(blocks)):
            return None
        for other in alive:
            meetings[other.id].append(block)
            meetings[block.id].append(other)
        alive.append(block)
    return meetings


def _greedy(
    order: Sequence[Block], meetings: Mapping[int, Sequence[Block]], distances: Distances
) -> tuple[Mapping[int, int], int]:
    """Each block in turn at the lowest offset that is free for its whole life."""
    # Where each block lies, and how many were placed before it.
    placed: dict[int, tuple[int, int]] = {}
    size = 0
    for block in order:
        others = sorted((*placed[other.id], other) for other in meetings[block.id] if other.id in placed)
        offset = _lowest(block, [(at, other) for at, _, other in others], distances)
        placed[block.id] = offset, len(placed)
        size = max(size, offset + block.size)
    return {id: offset for id, (offset, _) in placed.items()}, size


def _by_time(blocks: Sequence[Block], distances: Distances) -> tuple[Mapping[int, int], int]:
    """Each block at the lowest offset that is free, in the order in which they are made.

    Only those that are alive are looked at, so that plans of any length are placed.
    """
    alive: list[tuple[int, Block]] = []
    offsets: dict[int, int] = {}
    size = 0
    for block in sorted(blocks, key=lambda b: (b.first, -b.size)):
        alive = [(at, other) for at, other in alive if other.last >= block.first]
        offset = _lowest(block, alive, distances)
        insort(alive, (offset, block), key=lambda pair: pair[0])
        offsets[block.id] = offset
        size = max(size, offset + block.size)
    return offsets, size


def _lowest(block: Block, others: Sequence[tuple[int, Block]], distances: Distances) -> int:
    """The lowest offset for `block` beside `others`, which are sorted by theirs."""
    offset, free = -1, 0
    while offset != free:
        offset = free
        for at, other in others:
            if free + block.size <= at:
                break
            free = _next_free(block, free, other, at, distances)
    return offset


def _next_free(block: Block, offset: int, other: Block, at: int, distances: Distances) -> int:
    """The lowest place from `offset` on where `other`, placed `at`, has nothing against `block`."""
    end = at + other.size
    if offset + block.size <= at or offset >= end:
        return offset
    if distance := distances.get((other.id, block.id)):
        gap = at - offset
        return offset + gap % distance.multiple if gap >= distance.least else end
    if distance := distances.get((block.id, other.id)):
        gap = max(offset - at, distance.least)
        return min(at + gap + -gap % distance.multiple, end)
    return end
