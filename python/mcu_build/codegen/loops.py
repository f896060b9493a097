"""Calls that repeat, as loops: what bands of rows do over and over is written once."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

# Calls of a turn, at most; and calls that a loop has to save.
_LONGEST = 256
_LEAST_SAVED = 2


@dataclass(frozen=True)
class Item:
    """A call: `kind` is all of it but the byte offsets of its pointers into the arena."""

    kind: Hashable
    offsets: tuple[int, ...]


@dataclass(frozen=True)
class Loop:
    """Calls `first` to before `first + length`, `turns` times; with each turn offsets grow by `steps`."""

    first: int
    length: int
    turns: int
    steps: tuple[tuple[int, ...], ...]


def loops(items: Sequence[Item]) -> Iterator[Loop]:
    """All calls in their order, those that repeat as loops of several turns. Linear in their count."""
    kinds: dict[Hashable, int] = {}
    numbers = [kinds.setdefault(item.kind, len(kinds)) for item in items]
    at = 0
    while at < len(items):
        loop = _best(items, numbers, at)
        yield loop
        at += loop.length * loop.turns


def _best(items: Sequence[Item], numbers: Sequence[int], at: int) -> Loop:
    """The loop that begins at a call and saves most; one turn of one call where none saves enough."""
    best = Loop(at, 1, 1, ((0,) * len(items[at].offsets),))
    saved = _LEAST_SAVED - 1
    for length in range(1, min(_LONGEST, (len(items) - at) // 2) + 1):
        if numbers[at + length] != numbers[at]:
            continue
        loop = _loop(items, numbers, at, length)
        if (loop.turns - 1) * length > saved:
            best, saved = loop, (loop.turns - 1) * length
    return best


def _loop(items: Sequence[Item], numbers: Sequence[int], at: int, length: int) -> Loop:
    """As many turns of `length` calls as there are."""

    def steps(turn: int) -> tuple[tuple[int, ...], ...] | None:
        """How much further the offsets of a turn are than those of the one before; None: it is another."""
        now = at + turn * length
        if now + length > len(items) or numbers[now : now + length] != numbers[at : at + length]:
            return None
        return tuple(
            tuple(b - a for a, b in zip(items[i - length].offsets, items[i].offsets, strict=True))
            for i in range(now, now + length)
        )

    first = steps(1)
    turns = 1
    while first is not None and steps(turns) == first:
        turns += 1
    return Loop(at, length, turns, first or ())
