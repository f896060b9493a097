"""Place every activation in one arena.

Two tensors may share bytes when no step needs both. Placing them best is NP-hard; greedy placement in a good
order is usually optimal for the chains that networks are, so a few orders are tried and then improved by
moving single tensors forward, until the lower bound is met or the tries are used up. Deterministic.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcu_build.plan.ir import ALIGNMENT, Arena, Plan

# Tries of the improvement, for each tensor. Enough to find the optimum of every model in tests/models.
_TRIES_PER_TENSOR = 16
_MAX_TRIES = 2000


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
    live = _live_bytes(blocks, len(plan.steps))
    bound = max(live, default=0)
    offsets, size = _best_placement(blocks, bound)
    peak = max(range(len(plan.steps)), key=lambda step: live[step + 1], default=0)
    return plan.with_arena(Arena(size, offsets, peak, bound))


def lifetimes(plan: Plan) -> list[Block]:
    """The blocks of a plan. Inputs live from step -1, before the first; outputs to one step past the last."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}

    def touch(id: int, step: int) -> None:
        owner = plan.owner(id)
        if not owner.is_constant:
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
    return [Block(id, _aligned(plan.tensors[id].nbytes), first[id], last[id]) for id in first]


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _live_bytes(blocks: Sequence[Block], steps: int) -> list[int]:
    """Bytes needed at step -1, 0, 1 ... `steps`."""
    live = [0] * (steps + 2)
    for block in blocks:
        for step in range(block.first, block.last + 1):
            live[step + 1] += block.size
    return live


def _best_placement(blocks: Sequence[Block], bound: int) -> tuple[Mapping[int, int], int]:
    orders = [
        sorted(blocks, key=lambda b: (-b.size, b.first)),
        sorted(blocks, key=lambda b: (-b.size * (b.last - b.first + 1), b.first)),
        sorted(blocks, key=lambda b: (b.first - b.last, -b.size)),
        sorted(blocks, key=lambda b: (b.first, -b.size)),
    ]
    best: tuple[Mapping[int, int], int] | None = None
    for order in orders:
        found = _greedy(order)
        if best is None or found[1] < best[1]:
            best, best_order = found, order
    assert best is not None
    dice = random.Random(0)
    for _ in range(min(_TRIES_PER_TENSOR * len(blocks), _MAX_TRIES)):
        if best[1] <= bound:
            break
        order = list(best_order)
        order.insert(dice.randrange(len(order)), order.pop(dice.randrange(len(order))))
        found = _greedy(order)
        if found[1] <= best[1]:
            best, best_order = found, order
    return best


def _greedy(order: Sequence[Block]) -> tuple[Mapping[int, int], int]:
    """Each block in turn at the lowest offset that is free for its whole life."""
    placed: list[tuple[int, Block]] = []
    offsets: dict[int, int] = {}
    size = 0
    for block in order:
        offset = 0
        for start, other in sorted(
            ((at, other) for at, other in placed if other.meets(block)), key=lambda entry: entry[0]
        ):
            if offset + block.size <= start:
                break
            offset = max(offset, start + other.size)
        placed.append((offset, block))
        offsets[block.id] = offset
        size = max(size, offset + block.size)
    return offsets, size
