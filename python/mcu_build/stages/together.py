"""Models of one image, by a schedule of which run together: a plan for each, and one arena for all."""

from collections.abc import Sequence
from dataclasses import dataclass

from mcu_build.cache import Cache
from mcu_build.codegen import shared_arena
from mcu_build.errors import Exit, McuError
from mcu_build.frontend.names import model_name
from mcu_build.plan.memory.fit import peak, room_for_arena
from mcu_build.plan.memory.together import Way, choose, phases_of, places
from mcu_build.plan.rows.choose import LowScratch
from mcu_build.progress import Progress
from mcu_build.stages.pipeline import lowered_for
from mcu_build.stages.planning import plan_front
from mcu_build.stages.request import Request


@dataclass(frozen=True)
class Scheduled:
    """A model: bytes of its arena, where it begins in that of all, cycles beyond its quickest plan, about.

    `first` are the bytes of the quickest plan's arena, `file` is the model's.
    """

    name: str
    file: str
    arena: int
    offset: int
    cycles: int
    first: int


@dataclass(frozen=True)
class Schedule:
    """Models by a schedule: `size` bytes for all arenas together, at least `bound` of these plans.

    `source` is C++ for the image's own sources: the one array, and where each model's arena begins in it.
    """

    schedule: str
    models: tuple[Scheduled, ...]
    size: int
    bound: int
    source: str


def scheduled(requests: Sequence[Request], schedule: str, ram: int | None, progress: Progress) -> Schedule:
    """The plans that cost the fewest cycles together, of arenas that take `ram` bytes, or what the board has.

    McuError: status 2 for a schedule of other models, 6 where the arenas do not fit.
    """
    for request in requests:
        _check(request)
    names = [model_name(request.model) for request in requests]
    phases = phases_of(schedule, names)
    lowered = [lowered_for(request, Cache(), progress) for request in requests]
    fronts = dict(zip(names, map(plan_front, requests, lowered), strict=True))
    state = sum(len(front[0].plan.initial_state) for front in fronts.values())
    most = ram if ram is not None else room_for_arena(requests[0].board, state)
    chosen = choose({name: _ways(front) for name, front in fronts.items()}, phases, most)
    plans = {name: fronts[name][number] for name, number in chosen.items()}
    sizes = {name: plan.plan.arena.size for name, plan in plans.items()}
    placed = places(sizes, phases)
    if most is not None and placed.size > most:
        largest = max(plans, key=lambda name: sizes[name])
        raise McuError(
            f"--schedule: the arenas take {placed.size:,} bytes together, there are {most:,}",
            f"The largest is that of {largest}. {peak(plans[largest].plan)} Run fewer models together, or "
            "take a board with more RAM.",
            Exit.BUDGET,
        )
    models = tuple(
        Scheduled(name, str(request.model), sizes[name], placed.offsets[name], plans[name].cycles, first)
        for name, request in zip(names, requests, strict=True)
        for first in [fronts[name][0].plan.arena.size]
    )
    text = shared_arena.source(schedule, placed.offsets, sizes, placed.size)
    return Schedule(schedule, models, placed.size, placed.bound, text)


def _ways(front: Sequence[LowScratch]) -> list[Way]:
    return [Way(point.plan.arena.size, point.cycles) for point in front]


def _check(request: Request) -> None:
    """McuError (status 2) for models whose arenas are no single array that an application can bring."""
    place = request.board.placement
    if request.options.runtime != "static":
        raise McuError("--schedule: it is for the static runtime", "Leave out --runtime.", Exit.USAGE)
    if place is not None and place.arena_then:
        raise McuError(
            f"--schedule: {request.board.id} has several memories for arenas: {', '.join(place.arenas)}",
            f"Name one: --arena {place.arena}.",
            Exit.USAGE,
        )
