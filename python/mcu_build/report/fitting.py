"""RAM against cycles: what the plans of a program take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mcu_build.board import Board
from mcu_build.plan.fit import peak, room_for_arena
from mcu_build.plan.rows.choose import LowScratch
from mcu_build.report.tables import render

_HEADINGS = ("", "arena", "of the first", "lower bound", "bands", "more cycles, about", "cycles, modelled")


@dataclass(frozen=True)
class Fitting:
    """A plan: bytes of its arena, and what is live there at its fullest step; calls for bands of rows.

    `cycles` is what these are thought to cost: 200 for each call, and half a cycle for each byte that is
    copied. `fits` says whether the board, or `ram`, has room for the arena. `fullest` names the layer.
    """

    arena: int
    lower_bound: int
    bands: int
    cycles: int
    fits: bool
    fullest: str


def fittings(front: Sequence[LowScratch], board: Board) -> Iterator[Fitting]:
    """The plans of a front, for a board."""
    for one in front:
        plan, room = one.plan, room_for_arena(board, len(one.plan.initial_state))
        yield Fitting(
            arena=plan.arena.size,
            lower_bound=plan.arena.lower_bound,
            bands=sum(step.part_of is not None for step in plan.steps),
            cycles=one.cycles,
            fits=room is None or plan.arena.size <= room,
            fullest=peak(plan),
        )


def table(found: Sequence[Fitting], measured: Sequence[int | None], chosen: int | None) -> str:
    """A row for each plan; `measured` are modelled cycles where they were counted, `chosen` is marked."""
    rows = []
    for index, one in enumerate(found):
        cycles = measured[index] if index < len(measured) else None
        rows.append(
            [
                "*" if index == chosen else "",
                f"{one.arena:,}",
                f"{one.arena / max(found[0].arena, 1):.0%}",
                f"{one.lower_bound:,}",
                f"{one.bands:,}",
                f"{one.cycles:,}",
                "-" if cycles is None else f"{cycles:,}",
            ]
        )
    return render(_HEADINGS, rows, right=_HEADINGS[1:])
