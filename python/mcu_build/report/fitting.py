"""RAM, flash and cycles: what the plans of a program take, and which of them keeps limits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcu_build.board import Board
from mcu_build.choices import Optimize
from mcu_build.errors import Exit, McuError
from mcu_build.plan.memory.fit import of_input, peak, room_for_arena
from mcu_build.plan.rows.choose import LowScratch
from mcu_build.tables import render

_HEADINGS = (
    *("", "arena", "of the first", "lower bound", "from the least", "bands", "more cycles, about"),
    *("flash", "cycles, modelled"),
)


@dataclass(frozen=True)
class Fitting:
    """A plan: bytes of its arena, and what is live there at its fullest step; calls for bands of rows.

    `cycles` is what these are thought to cost: 200 for each call, half a cycle for each byte that is copied,
    and what reads of slower memories wait. `fits` says whether the board, or `ram`, has room for the arena.
    `fullest` names the layer. `flash` and `measured_cycles` are those of its image, where it was built:
    bytes of code and constants, cycles modelled from what the simulator counted. `slowest` names the layer
    that takes the most of these, `largest` what is largest in flash.

    `least`: no plan of the same layers, whole or in chains, that is thought to cost as few cycles has an
    arena of fewer bytes; None where not all of them were looked at. `precision` stands for the model file's,
    where it is another.
    """

    arena: int
    lower_bound: int
    bands: int
    cycles: int
    fits: bool
    fullest: str
    optimize: Optimize = "speed"
    flash: int | None = None
    measured_cycles: int | None = None
    slowest: str = ""
    largest: str = ""
    least: int | None = None
    precision: Mapping[str, str] | None = None

    @property
    def from_least(self) -> str:
        """By how much the arena is larger than the least, at most."""
        return "-" if self.least is None else f"{self.arena / max(self.least, 1) - 1:.1%}"


@dataclass(frozen=True)
class Limits:
    """What an image may take besides RAM: bytes of flash, modelled cycles of an inference.

    Weights may have 4 bits where `int4_sqnr` decibels are left.
    """

    flash: int | None = None
    cycles: int | None = None
    int4_sqnr: float | None = None

    @property
    def any(self) -> bool:
        """Whether there are any: plans are built then, to know what they take."""
        return self.flash is not None or self.cycles is not None

    def kept(self, plan: Fitting) -> bool:
        """Whether a plan, which was built, keeps them."""
        return _within(plan.flash, self.flash) and _within(plan.measured_cycles, self.cycles)


def _within(value: int | None, limit: int | None) -> bool:
    return limit is None or (value is not None and value <= limit)


def fittings(front: Sequence[LowScratch], board: Board, optimize: Optimize = "speed") -> Iterator[Fitting]:
    """The plans of a front, for a board."""
    for point in front:
        plan, room = point.plan, room_for_arena(board, len(point.plan.initial_state))
        yield Fitting(
            arena=plan.arena.size,
            lower_bound=plan.arena.lower_bound,
            bands=sum(step.part_of is not None for step in plan.steps),
            cycles=point.cycles + round(plan.arena.waits),
            fits=(room is None or plan.arena.size <= room) and not plan.arena.over,
            fullest=peak(plan) + of_input(plan),
            optimize=optimize,
            least=point.least,
        )


def choose(candidates: Sequence[Fitting], limits: Limits) -> int | None:
    """The plan to take: the quickest that keeps all limits; where cycles are limited, the smallest arena."""
    good = [index for index, fitting in enumerate(candidates) if fitting.fits and limits.kept(fitting)]

    def order(index: int) -> tuple[int, int]:
        candidate = candidates[index]
        cycles = candidate.measured_cycles or 0
        return (candidate.arena, cycles) if limits.cycles is not None else (cycles, candidate.arena)

    return min(good, key=order if limits.any else int, default=None)


def refusal(candidates: Sequence[Fitting], limits: Limits) -> McuError:
    """Why none of the plans will do, and which is the nearest."""
    within = [fitting for fitting in candidates if limits.kept(fitting)]
    if within or not limits.any:
        nearest = min(within or candidates, key=lambda fitting: fitting.arena)
        return McuError(
            f"no plan fits: the nearest takes {nearest.arena:,} bytes of RAM{_beside(nearest)}",
            f"{nearest.fullest} Make the images of that layer smaller, or take a board with more RAM.",
            Exit.BUDGET,
        )
    fit = [fitting for fitting in candidates if fitting.fits] or list(candidates)
    small = [fitting for fitting in fit if _within(fitting.flash, limits.flash)]
    if small and limits.cycles is not None:
        nearest = min(small, key=lambda fitting: fitting.measured_cycles or 0)
        return McuError(
            f"no plan fits: the quickest{' of those that fit' if fit[0].fits else ''} takes "
            f"{nearest.measured_cycles or 0:,} cycles, {limits.cycles:,} are allowed{_beside(nearest)}",
            f"{nearest.slowest} Give it fewer channels or smaller images, or allow more RAM.",
            Exit.BUDGET,
        )
    nearest = min(fit, key=lambda fitting: fitting.flash or 0)
    return McuError(
        f"no plan fits: the smallest image takes {nearest.flash or 0:,} bytes of flash, "
        f"{limits.flash or 0:,} are allowed{_beside(nearest)}",
        f"{nearest.largest} Fewer channels take less: weights grow with their square.",
        Exit.BUDGET,
    )


def _beside(plan: Fitting) -> str:
    """What else a plan takes that was built."""
    if plan.flash is None:
        return ""
    return f" (arena {plan.arena:,}, flash {plan.flash:,}, cycles {plan.measured_cycles or 0:,})"


def to_keep(name: str, file: Path, plan: Fitting) -> str:
    """What to write into the project file, and the model's, so that each build takes this plan."""
    optimize = f'optimize = "{plan.optimize}"\n' if plan.optimize != "speed" else ""
    project = f'# mcu-build.toml\n[models.{name}]\nfile = "{file.as_posix()}"\nram = {plan.arena}\n{optimize}'
    return project if plan.precision is None else f"{project}\n# {file.name}\n{as_python(plan.precision)}\n"


def as_python(precision: Mapping[str, str]) -> str:
    """The line of a model file that has this `precision`."""
    return "precision = {" + ", ".join(f'"{key}": "{bits}"' for key, bits in precision.items()) + "}"


def table(candidates: Sequence[Fitting], chosen: int | None) -> str:
    """A row for each plan; `chosen` is marked."""
    rows = []
    for index, fitting in enumerate(candidates):
        kinds: list[str] = [fitting.optimize] if fitting.optimize != "speed" else []
        kinds += ["int4"] if fitting.precision else []
        size = f" ({', '.join(kinds)})" if kinds else ""
        rows.append(
            [
                "*" if index == chosen else "",
                f"{fitting.arena:,}{size}",
                f"{fitting.arena / max(candidates[0].arena, 1):.0%}",
                f"{fitting.lower_bound:,}",
                fitting.from_least,
                f"{fitting.bands:,}",
                f"{fitting.cycles:,}",
                "-" if fitting.flash is None else f"{fitting.flash:,}",
                "-" if fitting.measured_cycles is None else f"{fitting.measured_cycles:,}",
            ]
        )
    return render(_HEADINGS, rows, right=_HEADINGS[1:])
