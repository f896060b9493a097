"""The passes from a program to a placed plan, in their order."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from mcu_build.custom import Signature
from mcu_build.errors import McuError
from mcu_build.ir.calls.moves import Permute
from mcu_build.ir.plan import Optimize, Plan
from mcu_build.ir.program import Program
from mcu_build.plan.concat_in_place import join_in_place
from mcu_build.plan.copy_weights import copy_weights
from mcu_build.plan.delegate import NpuTarget, join_scratch
from mcu_build.plan.fuse import fuse_float_pools, fuse_padding
from mcu_build.plan.inplace import allow_inplace
from mcu_build.plan.keep_state import keep_state
from mcu_build.plan.layouts import propagate_layouts
from mcu_build.plan.low_scratch import choose_low_scratch
from mcu_build.plan.memories import Memories, check_pins
from mcu_build.plan.operators.custom import selectors, user_calls
from mcu_build.plan.outputs import separate_outputs
from mcu_build.plan.relocate import allocate_with_relocation
from mcu_build.plan.rows.build import Chain, in_bands, in_one_line
from mcu_build.plan.rows.choose import Finish, LowScratch, cheapest, fit_ram, front
from mcu_build.plan.rows.take import take_rows
from mcu_build.plan.select import select
from mcu_build.plan.simplify import remove_channels
from mcu_build.plan.specialize import specialize
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
        plan = _chosen(program, name, npu, whole, custom, state, by_rows)
        finish, frugal = _finishers(plan, kernel_folders, optimize, room, memories)
        placed = finish(())
        check_pins(placed, memories.pins, memories.names)
        if ram is None or whole:
            return placed
        if memories.differ and placed.arena.waits:
            return cheapest(plan, ram, finish)
        tried = [placed]
        # Copies that save a little RAM come before bands of rows.
        ways: tuple[Callable[[], Plan], ...] = (
            lambda: frugal(()),
            lambda: fit_ram(plan, ram, finish),
            lambda: fit_ram(plan, ram, frugal),
        )
        for way in ways:
            if tried[-1].arena.size <= ram and not tried[-1].arena.over:
                return tried[-1]
            tried.append(way())
        return min(tried, key=lambda one: (one.arena.over, one.arena.size))


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
    """The plans of a program from the quickest to the one with the smallest arena, by more and more rows."""
    with _consistent(name):
        plan = _chosen(program, name, npu, False, custom, state, by_rows)
        finish, frugal = _finishers(plan, kernel_folders, optimize, room, memories)
        return tuple(front(plan, finish, frugal))


def _chosen(
    program: Program,
    name: str,
    npu: NpuTarget | None,
    whole: bool,
    custom: Sequence[Signature],
    state: Sequence[bytes],
    by_rows: bool,
) -> Plan:
    """The plan by portable kernels, before anything is placed."""
    selected = _select(program, name, npu, custom)
    user_calls(selected.steps)
    plan = fuse_float_pools(fuse_padding(separate_outputs(without_views(selected))))
    plan = keep_state(plan if whole else remove_channels(plan), state)
    return allow_inplace(take_rows(plan) if by_rows else plan)


def _finishers(
    plan: Plan, kernel_folders: Sequence[str], optimize: Optimize, room: int | None, memories: Memories
) -> tuple[Finish, Finish]:
    """What gives a plan the kernels of its core, and places it, with the chains it is told.

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
