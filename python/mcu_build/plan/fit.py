"""Does the plan fit the board? Told before anything is compiled."""

from collections import defaultdict
from collections.abc import Iterator

from mcu_build.board import Board
from mcu_build.errors import McuError
from mcu_build.hardware import Placement
from mcu_build.ir.plan import Plan
from mcu_build.layer_names import layer_at

# What a program's code may take.
_CODE = 32 * 1024
# What variables of the application and of the C library may take.
_DATA = 1024
# Bytes that are worth a word.
_MUCH = 4096


def constant_bytes(plan: Plan) -> int:
    """Bytes of flash that the constants of the model take."""
    used = {plan.owner(id).id for step in plan.steps for id in step.arguments if id is not None}
    return sum(plan.tensors[id].nbytes for id in used if plan.tensors[id].is_constant)


def room_for_constants(board: Board) -> int | None:
    """Bytes of the board's memory that constants may take; where code lies there too, it keeps some."""
    if board.is_host or board.placement is None:
        return None
    memory = board.memory_named(board.placement.constants)
    shared = board.placement.code == board.placement.constants
    return memory.size - (min(_CODE, memory.size // 4) if shared else 0)


def room_for_arena(board: Board, state: int) -> int | None:
    """Bytes that the arena may take beside a model's `state`; None where nothing is said."""
    rooms = [board.arena_size] if board.arena_size is not None else []
    if not board.is_host and board.placement is not None:
        place = board.placement
        shared = state + (board.stack_size if place.stack == place.arena else 0)
        shared += _DATA if place.data == place.arena else 0
        rooms.append(max(board.memory_named(place.arena).size - shared, 0))
    return min(rooms, default=None)


def weights_line(plan: Plan, board: Board) -> str | None:
    """What kernels spend on weights, in a sentence; None where it is little."""
    before, after = plan.program_constants, constant_bytes(plan)
    if plan.plain_steps:
        return (
            f"{plan.name}: {plan.plain_steps} layers keep the program's weights, so that they fit the flash "
            f"of {board.id}: {after:,} bytes; these layers run slower"
        )
    if after - before > max(_MUCH, before // 4):
        return (
            f"{plan.name}: weights take {after:,} bytes of flash, {before:,} in the program: kernels for "
            "speed want some in 16 bits; --optimize size keeps a byte a weight"
        )
    return None


def check_fit(plan: Plan, board: Board) -> None:
    """McuError where the arena, the stack or the constants alone overflow a memory of the board.

    Code is not known yet; a region that overflows only with it is reported by the linker.
    """
    lines, most = [], board.arena_size
    if most is not None and plan.arena.size > most:
        lines.append(f"{plan.name}: the arena needs {plan.arena.size:,} bytes, {most:,} are allowed")
    if not board.is_host:
        lines += _overflows(plan, board)
    if lines:
        raise McuError("\n".join(lines), f"{peak(plan)} Use a smaller input or another board.")


def _overflows(plan: Plan, board: Board) -> Iterator[str]:
    """Memories that are too small for what lies there, and those that the NPU does not reach."""
    assert board.placement is not None
    need: dict[str, dict[str, int]] = defaultdict(dict)
    need[board.placement.arena]["arena"] = plan.arena.size
    if plan.initial_state:
        need[board.placement.arena]["state"] = len(plan.initial_state)
    need[board.placement.stack]["stack"] = board.stack_size
    need[board.placement.constants]["constants"] = constant_bytes(plan)
    if board.placement.fast is not None:
        need[board.placement.fast]["fast scratch"] = plan.fast_size
    yield from _unreachable(plan, board, board.placement)
    for name, parts in need.items():
        memory, total = board.memory_named(name), sum(parts.values())
        if total > memory.size:
            listed = " + ".join(f"{part} {size:,}" for part, size in parts.items())
            yield f"{plan.name}: {name}: needs {total:,} bytes ({listed}), {board.id} has {memory.size:,}"


def _unreachable(plan: Plan, board: Board, place: Placement) -> Iterator[str]:
    """Memories that the NPU works on and does not reach."""
    if plan.npu is None:
        return
    for role in ("arena", "constants", "fast"):
        name = getattr(place, role)
        if name is not None and not board.memory_named(name).npu:
            yield f"{plan.name}: {board.id}: placement.{role}: the NPU does not reach {name}"


def peak(plan: Plan) -> str:
    """Which operator sets the size of the arena, in a sentence."""
    if not plan.steps:
        return "The model only passes its inputs on."
    step = plan.steps[plan.arena.peak_step]
    whole = plan.tensors[step.part_of] if step.part_of is not None else None
    shape = whole.model_shape if whole else plan.output_shape(step)
    where = layer_at(step.name, step.operator, shape, step.layer)
    return (
        f"The arena of {plan.arena.size:,} bytes is fullest at {where}, "
        f"where {plan.arena.lower_bound:,} bytes are live."
    )
