"""The passes from a program to a placed plan, in their order."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

from mcu_build.custom import Signature
from mcu_build.errors import McuError
from mcu_build.ir.calls.moves import Permute
from mcu_build.ir.plan import Optimize, Plan
from mcu_build.ir.program import Program
from mcu_build.plan.delegate import NpuTarget, join_scratch
from mcu_build.plan.fuse import fuse_float_pools, fuse_padding
from mcu_build.plan.fuse_repeats import fuse_repeats
from mcu_build.plan.fuse_samples import fuse_samples
from mcu_build.plan.keep_state import keep_state
from mcu_build.plan.layouts import propagate_layouts
from mcu_build.plan.memory.allocate import live_bytes
from mcu_build.plan.memory.concat_in_place import join_in_place
from mcu_build.plan.memory.copy_weights import copy_weights
from mcu_build.plan.memory.inplace import allow_inplace
from mcu_build.plan.memory.low_scratch import choose_low_scratch, leanest
from mcu_build.plan.memory.memories import Memories, check_pins
from mcu_build.plan.memory.relocate import allocate_with_relocation
from mcu_build.plan.operators.custom import selectors, user_calls
from mcu_build.plan.order import reordered
from mcu_build.plan.outputs import separate_outputs
from mcu_build.plan.ring_state import keep_rings
from mcu_build.plan.rows.build import Chain, in_bands, in_one_line
from mcu_build.plan.rows.choose import (
    Finish,
    LowScratch,
    Search,
    cheapest,
    fit_ram,
    front,
    with_bounds,
)
from mcu_build.plan.rows.recompute import recomputed
from mcu_build.plan.rows.take import take_rows
from mcu_build.plan.select import select
from mcu_build.plan.simplify import remove_channels
from mcu_build.plan.specialize import price, specialize
from mcu_build.plan.views import without_views

# How the error of a program begins whose plan fails in a pass, not in an operator that has no kernel.
NOT_PLANNED = "the program contradicts itself"

# By how much a faster way may make the arena larger, as a share of its size. Copies are worth twice that.
_ROOM_FOR_SPEED = 0.01
_ANYWHERE = Memories()


@dataclass(frozen=True)
class Settings:
    """How a program is planned.

    `kernel_folders` are folders of firmware/kernels that the core can run, best first. `npu` is what
    delegates run on. `whole` keeps channels that never matter. `custom` are the user's own operators.
    Constants take no more than `room` bytes where slower kernels make that possible. `state` is what the last
    inputs hold before the first call, where they are state. `by_rows`: the application brings the input row
    by row. `memories` are those of the board that the plan is spread over: where one of them is slower,
    layers run row by row where that costs less than its waits.
    """

    kernel_folders: Sequence[str] = ("reference",)
    npu: NpuTarget | None = None
    optimize: Optimize = "speed"
    custom: Sequence[Signature] = ()
    room: int | None = None
    state: Sequence[bytes] = ()
    by_rows: bool = False
    memories: Memories = _ANYWHERE
    whole: bool = False


_PORTABLE = Settings()


def compile_program(
    program: Program, name: str, settings: Settings = _PORTABLE, ram: int | None = None
) -> Plan:
    """Choose kernels and place memory. McuError names what cannot be compiled.

    Layers run row by row where the arena would else take more than `ram` bytes; where that is not enough, it
    is the smallest that was found.
    """
    with _consistent(name):
        plan = _chosen(program, name, settings)
        ram = None if ram is None else max(ram - _windows(plan, settings), 0)
        settings = _beside_windows(plan, settings)
        memories = settings.memories
        finish, _ = _finishers(plan, settings)
        placed = finish(())
        check_pins(placed, memories.pins, memories.names)
        if ram is None or settings.whole:
            return placed
        if memories.differ and placed.arena.waits:
            return cheapest(plan, ram, finish)
        tried = []
        for way in chain([placed], _smaller(plan, ram, settings)):
            if way.arena.size <= ram and not way.arena.over:
                return way
            tried.append(way)
        return min(tried, key=lambda attempt: (attempt.arena.over, attempt.arena.size))


def _smaller(plan: Plan, ram: int, settings: Settings) -> Iterator[Plan]:
    """Placed plans that are to take no more than `ram` bytes, what costs few cycles first.

    Copies that save a little RAM come before bands of rows, and these before layers that run twice.
    """
    finish, frugal = _finishers(plan, settings)
    yield frugal(())
    search = Search(plan)
    again = tuple(recomputed(plan))
    if not again or search.within(ram):
        yield fit_ram(search, ram, finish)
        yield fit_ram(search, ram, frugal)
    for index, way in enumerate(again):
        search = Search(way.plan)
        if index == len(again) - 1 or search.within(ram):
            yield fit_ram(search, ram, _finishers(way.plan, settings)[0])


def compile_front(program: Program, name: str, settings: Settings) -> tuple[LowScratch, ...]:
    """The plans of a program from the quickest to the one with the smallest arena.

    By more and more rows, and then by layers that run twice.
    """
    with _consistent(name):
        plan = _chosen(program, name, settings)
        settings = _beside_windows(plan, settings)
        searches, made = list[tuple[int, Search]](), list[LowScratch]()
        for more, variant in ((0, plan), *((again.cycles, again.plan) for again in recomputed(plan))):
            ways = _finishers(variant, settings)
            search = Search(variant, _live(variant, settings))
            searches.append((more, search))
            least = made[-1].plan.arena.size if made else None
            made += [
                replace(point, cycles=point.cycles + more)
                for point in front(search, *ways)
                if least is None or point.plan.arena.size < least
            ]
        return tuple(with_bounds(made, searches))


def _live(plan: Plan, settings: Settings) -> list[int]:
    """Bytes that each step of a plan needs by the kernels of its core, before anything is placed."""
    made = leanest(_specialized(join_scratch(plan), _frugal(settings)))
    return live_bytes(made)[1:-1]


def _specialized(plan: Plan, settings: Settings) -> Plan:
    """The plan with the kernels of the core."""
    return specialize(plan, settings.kernel_folders, settings.optimize, settings.room)


def _chosen(program: Program, name: str, settings: Settings) -> Plan:
    """The plan by portable kernels, before anything is placed."""
    selected = _select(program, name, settings)
    user_calls(selected.steps)
    plan = fuse_repeats(fuse_float_pools(fuse_padding(separate_outputs(without_views(selected)))))
    plan = fuse_samples(plan)
    if not settings.whole:
        plan = remove_channels(plan, partial(price, kernel_folders=settings.kernel_folders))
    windows = settings.optimize != "ram" and not settings.whole
    plan = keep_state(plan, settings.state, windows=windows)
    plan = keep_rings(plan) if windows else plan
    plan = allow_inplace(take_rows(plan) if settings.by_rows else plan)
    return plan if settings.whole else reordered(plan)


def _windows(plan: Plan, settings: Settings) -> int:
    """Bytes of a plan's state beyond what it keeps."""
    return len(plan.initial_state) - sum(map(len, settings.state))


def _beside_windows(plan: Plan, settings: Settings) -> Settings:
    """With the memories that are left beside them."""
    return replace(settings, memories=settings.memories.without(_windows(plan, settings)))


def _finishers(plan: Plan, settings: Settings) -> tuple[Finish, Finish]:
    """What gives a plan the kernels of its core, and places it, with the chains that it is given.

    The second gives away no byte for speed.
    """
    usual = 0 if settings.optimize == "ram" else _ROOM_FOR_SPEED
    return _finisher(plan, settings, usual), _finisher(plan, _frugal(settings), 0.0)


def _frugal(settings: Settings) -> Settings:
    """With kernels of less scratch memory however much longer they take."""
    return settings if settings.optimize == "size" else replace(settings, optimize="ram")


def _finisher(plan: Plan, settings: Settings, allowance: float) -> Finish:
    """One that may take this share of the arena for speed."""

    def finish(chains: Sequence[Chain]) -> Plan:
        made = _specialized(join_scratch(in_bands(plan, chains)), settings)
        made = copy_weights(made, settings.memories)
        placed = join_in_place(
            made,
            lambda specialized: allocate_with_relocation(
                choose_low_scratch(specialized, allowance), 2 * allowance
            ),
        )
        return in_one_line(settings.memories.spread(placed))

    return finish


@contextmanager
def _consistent(name: str) -> Iterator[None]:
    """McuError where a pass cannot go on: no field of the program is wrong, but they contradict another."""
    try:
        yield
    except (ArithmeticError, AssertionError, LookupError, MemoryError, TypeError, ValueError) as error:
        raise McuError(
            f"{name}: {NOT_PLANNED}: {type(error).__name__}: {error}",
            "A .pte may be damaged: export it again. Otherwise report what --debug prints.",
        ) from error


def _select(program: Program, name: str, settings: Settings) -> Plan:
    """The plan that moves the fewest bytes: with the program's memory layouts, or with carried ones."""
    table = selectors(settings.custom)
    plans = [select(program, name, settings.npu, table)]
    carried = None
    for join_images in (False, True):
        if not _moved(plans[-1]):
            break
        again = propagate_layouts(program, join_images)
        if again != carried:
            carried = again
            plans.append(select(carried, name, settings.npu, table))
    return min(plans, key=_moved)


def _moved(plan: Plan) -> int:
    return sum(plan.tensors[step.writes[0]].nbytes for step in plan.steps if isinstance(step.call, Permute))
