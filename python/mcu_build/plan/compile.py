"""The passes from a program to a placed plan, in their order."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain

from mcu_build.custom import Signature
from mcu_build.errors import McuError
from mcu_build.ir.calls.moves import Permute
from mcu_build.ir.plan import Optimize, Plan
from mcu_build.ir.program import Program
from mcu_build.plan.concat_in_place import join_in_place
from mcu_build.plan.copy_weights import copy_weights
from mcu_build.plan.delegate import NpuTarget, join_scratch
from mcu_build.plan.fuse import fuse_float_pools, fuse_padding
from mcu_build.plan.fuse_repeats import fuse_repeats
from mcu_build.plan.fuse_samples import fuse_samples
from mcu_build.plan.inplace import allow_inplace
from mcu_build.plan.keep_state import keep_state
from mcu_build.plan.layouts import propagate_layouts
from mcu_build.plan.low_scratch import choose_low_scratch, leanest
from mcu_build.plan.memories import Memories, check_pins
from mcu_build.plan.memory import live_bytes
from mcu_build.plan.operators.custom import selectors, user_calls
from mcu_build.plan.order import reordered
from mcu_build.plan.outputs import separate_outputs
from mcu_build.plan.relocate import allocate_with_relocation
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

_ANYWHERE = Memories()
# By how much a faster way may make the arena larger, as a share of its size. Copies are worth twice that.
_ROOM_FOR_SPEED = 0.01


def compile_program(
    program: Program,
    name: str,
    kernel_folders: Sequence[str] = ("reference",),
    npu: NpuTarget | None = None,
    optimize: Optimize = "speed",
    whole: bool = False,
    custom: Sequence[Signature] = (),
    room: int | None = None,
    state: Sequence[bytes] = (),
    ram: int | None = None,
    by_rows: bool = False,
    memories: Memories = _ANYWHERE,
) -> Plan:
    """Choose kernels and place memory. McuError names what cannot be compiled.

    `kernel_folders` are folders of firmware/kernels that the core can run, best first. `npu` is what
    delegates run on. `whole` keeps channels that never matter. `custom` are the user's own operators.
    Constants take no more than `room` bytes where slower kernels make that possible. `state` is what the last
    inputs hold before the first call, where they are state. Layers run row by row where the arena would else
    take more than `ram` bytes; where that is not enough, it is the smallest that was found. `by_rows`: the
    application brings the input row by row. `memories` are those of the board that the plan is spread over:
    where one of them is slower, layers run row by row where that costs less than its waits.
    """
    with _consistent(name):
        plan = _chosen(program, name, npu, whole, custom, state, by_rows, kernel_folders, optimize)
        memories = memories.without(_windows(plan, state))
        ram = None if ram is None else max(ram - _windows(plan, state), 0)
        finishers = partial(
            _finishers, kernel_folders=kernel_folders, optimize=optimize, room=room, memories=memories
        )
        finish, _ = finishers(plan)
        placed = finish(())
        check_pins(placed, memories.pins, memories.names)
        if ram is None or whole:
            return placed
        if memories.differ and placed.arena.waits:
            return cheapest(plan, ram, finish)
        tried = []
        for way in chain([placed], _smaller(plan, ram, finishers)):
            if way.arena.size <= ram and not way.arena.over:
                return way
            tried.append(way)
        return min(tried, key=lambda one: (one.arena.over, one.arena.size))


def _smaller(plan: Plan, ram: int, finishers: Callable[[Plan], tuple[Finish, Finish]]) -> Iterator[Plan]:
    """Placed plans that are to take no more than `ram` bytes, what costs few cycles first.

    Copies that save a little RAM come before bands of rows, and these before layers that run twice.
    """
    finish, frugal = finishers(plan)
    yield frugal(())
    search = Search(plan)
    again = tuple(recomputed(plan))
    if not again or search.within(ram):
        yield fit_ram(search, ram, finish)
        yield fit_ram(search, ram, frugal)
    for index, one in enumerate(again):
        search = Search(one.plan)
        if index == len(again) - 1 or search.within(ram):
            yield fit_ram(search, ram, finishers(one.plan)[0])


def compile_front(
    program: Program,
    name: str,
    kernel_folders: Sequence[str] = ("reference",),
    npu: NpuTarget | None = None,
    optimize: Optimize = "speed",
    custom: Sequence[Signature] = (),
    room: int | None = None,
    state: Sequence[bytes] = (),
    by_rows: bool = False,
    memories: Memories = _ANYWHERE,
) -> tuple[LowScratch, ...]:
    """The plans of a program from the quickest to the one with the smallest arena.

    By more and more rows, and then by layers that run twice.
    """
    with _consistent(name):
        plan = _chosen(program, name, npu, False, custom, state, by_rows, kernel_folders, optimize)
        memories = memories.without(_windows(plan, state))
        searches, made = list[tuple[int, Search]](), list[LowScratch]()
        for more, one in ((0, plan), *((again.cycles, again.plan) for again in recomputed(plan))):
            ways = _finishers(one, kernel_folders, optimize, room, memories)
            search = Search(one, _live(one, kernel_folders, optimize, room))
            searches.append((more, search))
            least = made[-1].plan.arena.size if made else None
            made += [
                replace(found, cycles=found.cycles + more)
                for found in front(search, *ways)
                if least is None or found.plan.arena.size < least
            ]
        return tuple(with_bounds(made, searches))


def _live(plan: Plan, kernel_folders: Sequence[str], optimize: Optimize, room: int | None) -> list[int]:
    """Bytes that each step of a plan needs by the kernels of its core, before anything is placed."""
    made = leanest(specialize(join_scratch(plan), kernel_folders, optimize, room))
    return live_bytes(made)[1:-1]


def _chosen(
    program: Program,
    name: str,
    npu: NpuTarget | None,
    whole: bool,
    custom: Sequence[Signature],
    state: Sequence[bytes],
    by_rows: bool,
    kernel_folders: Sequence[str],
    optimize: Optimize,
) -> Plan:
    """The plan by portable kernels, before anything is placed."""
    selected = _select(program, name, npu, custom)
    user_calls(selected.steps)
    plan = fuse_repeats(fuse_float_pools(fuse_padding(separate_outputs(without_views(selected)))))
    plan = fuse_samples(plan)
    if not whole:
        plan = remove_channels(plan, partial(price, kernel_folders=kernel_folders))
    plan = keep_state(plan, state, windows=optimize != "ram" and not whole)
    plan = allow_inplace(take_rows(plan) if by_rows else plan)
    return plan if whole else reordered(plan)


def _windows(plan: Plan, state: Sequence[bytes]) -> int:
    """Bytes of a plan's state beyond what it keeps."""
    return len(plan.initial_state) - sum(map(len, state))


def _finishers(
    plan: Plan, kernel_folders: Sequence[str], optimize: Optimize, room: int | None, memories: Memories
) -> tuple[Finish, Finish]:
    """What gives a plan the kernels of its core, and places it, with the chains that it is given.

    The second gives away no byte for speed.
    """
    usual = 0 if optimize == "ram" else _ROOM_FOR_SPEED
    first, frugal = (
        _finisher(plan, kernel_folders, optimize, room, memories, share) for share in (usual, 0.0)
    )
    return first, frugal


def _finisher(
    plan: Plan,
    kernel_folders: Sequence[str],
    optimize: Optimize,
    room: int | None,
    memories: Memories,
    allowance: float,
) -> Finish:
    """One that may take this share of the arena for speed."""

    def finish(chains: Sequence[Chain]) -> Plan:
        made = specialize(join_scratch(in_bands(plan, chains)), kernel_folders, optimize, room)
        made = copy_weights(made, memories)
        placed = join_in_place(
            made, lambda one: allocate_with_relocation(choose_low_scratch(one, allowance), 2 * allowance)
        )
        return in_one_line(memories.spread(placed))

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


def _select(program: Program, name: str, npu: NpuTarget | None, custom: Sequence[Signature]) -> Plan:
    """The plan that moves fewer bytes: with the program's memory layouts, or with carried ones."""
    table = selectors(custom)
    plan = select(program, name, npu, table)
    if not _moved(plan):
        return plan
    return min(plan, select(propagate_layouts(program), name, npu, table), key=_moved)


def _moved(plan: Plan) -> int:
    return sum(plan.tensors[step.writes[0]].nbytes for step in plan.steps if isinstance(step.call, Permute))
