"""Program and request → placed plan."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mcu_build.board import Board
from mcu_build.cache import Cache
from mcu_build.codegen.cmsis_nn import CmsisNn
from mcu_build.errors import McuError
from mcu_build.ir.plan import Optimize, Plan, Step
from mcu_build.ir.program import Program, load
from mcu_build.progress import Silent
from mcu_build.stages.lower import lower_model
from mcu_build.stages.lowered import Lowered
from mcu_build.stages.request import Request

if TYPE_CHECKING:
    from mcu_build.plan.compile import Settings
    from mcu_build.plan.memory.memories import Pin
    from mcu_build.plan.rows.choose import LowScratch


def plan_for(request: Request, lowered: Lowered, name: str) -> Plan:
    """The placed plan of a request's program for the runtime that it names."""
    plan = plan_program(
        lowered,
        name,
        request.board,
        request.cmsis_nn,
        request.options.optimize,
        whole=request.loads_as_given,
        by_rows=request.options.input_by == "rows",
        is_left=request.executorch is not None,
        pins=_pins(request, lowered),
    )
    return replace(plan, first_memories=request.first_memories)


def _pins(request: Request, lowered: Lowered) -> "tuple[Pin, ...]":
    """What is placed by name: the command's word comes before the model file's.

    A model file is for any board: what it says of memories that a board does not have is not for that one.
    """
    from mcu_build.plan.memory.memories import Pin

    if request.options.runtime != "static":
        return ()
    there = {memory.name for memory in request.board.memory}
    own = (pin for pin in map(Pin.of, lowered.place) if pin.memory in there)
    return (*map(Pin.of, request.options.place), *own)


def plan_program(
    lowered: Lowered,
    name: str,
    board: Board,
    cmsis_nn: CmsisNn | None = None,
    optimize: Optimize = "speed",
    whole: bool = False,
    program: Program | None = None,
    by_rows: bool = False,
    is_left: bool = False,
    pins: "Sequence[Pin]" = (),
) -> Plan:
    """The placed plan of a program for a board's core, its int8 boundaries with their quantization.

    `program` is a part of it from its inputs on; without, all of it is planned. `whole` is for a runtime that
    loads the program as it is: nothing of it is left out. `by_rows`: the application brings the input so.
    `is_left`: delegates of an NPU are left to ExecuTorch's runtime. `pins` name memories for layers.
    """
    from mcu_build.plan.compile import compile_program
    from mcu_build.plan.memory.fit import room_for_arena

    is_part = program is not None
    program = program or load(lowered.program, lowered.method, lowered.data)
    settings = _settings(lowered, board, cmsis_nn, optimize, program, pins, is_part, is_left)
    room = None if whole else settings.room
    settings = replace(settings, room=room, whole=whole, by_rows=by_rows)
    ram = room_for_arena(board, sum(map(len, settings.state)))
    plan = compile_program(program, name, settings, ram)
    boundaries, count = lowered.boundaries, len(program.inputs)
    inputs = dict(zip(plan.inputs, boundaries, strict=False))
    outputs = () if is_part else zip(plan.outputs, boundaries[count:], strict=False)
    named = replace(plan, output_names=() if is_part else lowered.outputs)
    if lowered.stream:
        named = replace(named, hop=lowered.stream["hop"], first_result=max(lowered.stream["first"]))
    return named.with_quantization({**inputs, **dict(outputs)})


def plan_front(request: Request, lowered: Lowered) -> "tuple[LowScratch, ...]":
    """The plans of a program from the quickest to the one with the smallest arena."""
    from mcu_build.plan.compile import compile_front

    options, program = request.options, load(lowered.program, lowered.method, lowered.data)
    pins = _pins(request, lowered)
    settings = _settings(lowered, request.board, request.cmsis_nn, options.optimize, program, pins)
    return compile_front(program, lowered.name, replace(settings, by_rows=options.input_by == "rows"))


def _settings(
    lowered: Lowered,
    board: Board,
    cmsis_nn: CmsisNn | None,
    optimize: Optimize,
    program: Program,
    pins: "Sequence[Pin]",
    is_part: bool = False,
    is_left: bool = False,
) -> "Settings":
    """How a program is planned for a board, or a part of it. McuError where it lacks what its NPU needs."""
    from mcu_build.codegen.target import kernel_folders
    from mcu_build.plan.compile import Settings
    from mcu_build.plan.delegate import NpuTarget
    from mcu_build.plan.keep_state import initial_bytes, initial_values
    from mcu_build.plan.memory.fit import memories_of, room_for_constants

    npu = None
    if lowered.npu:
        fast = board.placement is not None and board.placement.fast is not None
        npu = NpuTarget(
            lowered.npu.name, [delegate.fast_scratch for delegate in lowered.delegates], fast, is_left
        )
    if (
        lowered.npu
        and "Dedicated" in lowered.npu.memory_mode
        and len(lowered.delegates) < len(program.delegates)
    ):
        raise McuError(
            f"{lowered.program}: it does not hold how much fast scratch memory its delegates need",
            f"Give the model.py or .pt2, or an NPU with another memory mode than {lowered.npu.memory_mode}.",
        )
    # A part of a program ends before the new values of its state are there.
    boundaries = lowered.boundaries[: len(program.inputs)]
    values = [] if is_part else initial_values(program, lowered.initial_state(), boundaries)
    state = initial_bytes(program, values)
    return Settings(
        kernel_folders=kernel_folders(board, cmsis_nn),
        npu=npu,
        optimize=optimize,
        custom=lowered.custom,
        room=room_for_constants(board),
        state=state,
        memories=memories_of(board, sum(map(len, state)), pins),
    )


def all_steps(plan: Plan, request: Request) -> list[Step]:
    """The steps of a plan, and of those of programs that may come later."""
    options, steps = request.options, list(plan.steps)
    if request.loads_as_given:
        return steps
    for file in options.ops_from:
        alone = replace(options, io="float", method=None, data=())
        lowered = lower_model(file, request.board, request.npu, alone, Cache(), Silent())
        steps += plan_for(request, lowered, lowered.name).steps
    return steps
