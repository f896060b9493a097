"""Does the plan fit the board? Told before anything is compiled."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set

from mcu_build.board import Board
from mcu_build.errors import McuError
from mcu_build.hardware import Memory, Placement
from mcu_build.ir.plan import DType, Plan
from mcu_build.layer_names import layer_at
from mcu_build.plan.memory.memories import Memories, Pin, Room
from mcu_build.plan.rows.take import comes_by_rows

# What a program's code may take.
_CODE = 32 * 1024
# What variables of the application and of the C library may take.
_DATA = 1024
# What a multiply-accumulate takes, with and without Helium: of ResNet8 on a Cortex-M55 and on an M4.
_CYCLES_OF_MAC_HELIUM, _CYCLES_OF_MAC = 0.25, 1.0
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
    return sum(room.size for room in _constant_rooms(board))


def memories_of(board: Board, state: int, pins: Sequence[Pin] = ()) -> Memories:
    """The memories that a plan may be spread over, beside a model's `state`. None on the host."""
    if board.is_host or board.placement is None:
        return Memories(pins=tuple(pins))
    arenas = tuple(_arena_room(board, name, state) for name in board.placement.arenas)
    dma = (_CYCLES_OF_MAC_HELIUM if board.mve else _CYCLES_OF_MAC) if _has_dma(board) else None
    return Memories(arenas, _constant_rooms(board), tuple(pins), board.arena_size or 0, dma)


def _has_dma(board: Board) -> bool:
    """Whether the board has a DMA that reaches one of the memories for activations."""
    assert board.placement is not None
    return board.dma is not None and any(board.memory_named(name).dma for name in board.placement.arenas)


def _constant_rooms(board: Board) -> tuple[Room, ...]:
    """Memories for constants; where code lies there too, it keeps some."""
    assert board.placement is not None
    rooms = []
    for memory in map(board.memory_named, board.placement.weights):
        code = min(_CODE, memory.size // 4) if board.placement.code == memory.name else 0
        rooms.append(_room(memory, memory.size - code))
    return tuple(rooms)


def _arena_room(board: Board, name: str, state: int) -> Room:
    """A memory for activations, and what others leave of it: state lies in the first."""
    assert board.placement is not None
    place, memory = board.placement, board.memory_named(name)
    used = board.stack_size if place.stack == name else 0
    used += _DATA if place.data == name else 0
    used += state if place.arena == name else 0
    return _room(memory, max(memory.size - used, 0))


def _room(memory: Memory, size: int) -> Room:
    timing = memory.timing
    # Most reads go through memory in its order.
    return Room(memory.name, size, timing.wait_of_byte if timing else 0.0, memory.npu, memory.dma)


def room_for_arena(board: Board, state: int) -> int | None:
    """Bytes that the arena may take beside a model's `state`; None where nothing is said."""
    rooms = [board.arena_size] if board.arena_size is not None else []
    if not board.is_host and board.placement is not None:
        rooms.append(sum(_arena_room(board, name, state).size for name in board.placement.arenas))
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


def check_fit(plan: Plan, board: Board, spreads: bool = True) -> None:
    """McuError where the arena, the stack or the constants alone overflow a memory of the board.

    `spreads`: the runtime can have arena and constants in several memories. Code is not known yet; a region
    that overflows only with it is reported by the linker.
    """
    lines, most = [], board.arena_size
    if most is not None and plan.arena.size > most:
        lines.append(f"{plan.name}: the arena needs {plan.arena.size:,} bytes, {most:,} are allowed")
    hint = "Use a smaller input or another board."
    if board.placement is not None:
        over = dict(_overflows(plan, board, board.placement))
        lines += [*_unreachable(plan, board, board.placement), *over.values()]
        # Where the arena may take so many bytes and no more, another memory is no way out.
        if not (most is not None and plan.arena.size > most):
            hint = _other_memory(plan, board, over.keys(), spreads) or hint
    if lines:
        raise McuError(
            "\n".join(lines),
            f"{peak(plan)}{of_input(plan) if spreads else ''}{_of_state(plan)} {hint}{_of_16_bits(plan)}",
        )


def of_input(plan: Plan) -> str:
    """A further hint where an image that the application could bring row by row is half of the arena."""
    if not plan.inputs or not comes_by_rows(plan):
        return ""
    source = plan.tensors[plan.inputs[0]]
    if source.image or 2 * source.nbytes < plan.arena.size:
        return ""
    return f" The input is {source.nbytes:,} of these; with --input-by rows it never lies there whole."


def _of_state(plan: Plan) -> str:
    """A further hint of a model with state."""
    size = len(plan.initial_state)
    return f" The state takes {size:,} bytes at all times: keep fewer samples." if size else ""


def _of_16_bits(plan: Plan) -> str:
    """A further hint where activations have 16 bits: none of these layers runs row by row."""
    used = {id for step in plan.steps for id in step.arguments if id is not None}
    if all(plan.tensors[id].dtype is not DType.I16 or plan.tensors[id].is_constant for id in used):
        return ""
    return " Layers of int16 take twice the room and never run row by row: leave large ones in int8."


def _needs(plan: Plan, board: Board, place: Placement) -> Mapping[str, Mapping[str, int]]:
    """What lies in each memory of a board, in bytes, without code."""
    need: dict[str, dict[str, int]] = defaultdict(dict)
    need[place.arena]["arena"] = plan.arena.first_size
    for memory, size in plan.arena.elsewhere.items():
        need[memory]["arena"] = size
    if plan.initial_state:
        need[place.arena]["state"] = len(plan.initial_state)
    need[place.stack]["stack"] = board.stack_size
    for memory, size in constants_by_memory(plan, place).items():
        need[memory]["constants"] = size
    if place.fast is not None:
        need[place.fast]["fast scratch"] = plan.fast_size
    return need


def _overflows(plan: Plan, board: Board, place: Placement) -> Iterator[tuple[str, str]]:
    """Memories that are too small for what lies there, and what to say of them."""
    for name, parts in _needs(plan, board, place).items():
        memory, total = board.memory_named(name), sum(parts.values())
        if total > memory.size:
            listed = " + ".join(f"{part} {size:,}" for part, size in parts.items())
            yield (
                name,
                f"{plan.name}: {name}: needs {total:,} bytes ({listed}), {board.id} has {memory.size:,}",
            )


def _other_memory(plan: Plan, board: Board, over: Set[str], spreads: bool) -> str:
    """A hint that names a memory of the board that would do beside those that are `over` full; else empty."""
    assert board.placement is not None
    place, needs = board.placement, _needs(plan, board, board.placement)
    for role, names in (("arena", place.arenas), ("constants", place.weights)):
        if over.isdisjoint(names):
            continue
        free = [memory for memory in board.memory if memory.name not in names]
        free.sort(key=lambda memory: (memory.name in (place.code, place.vectors), -memory.size))
        for memory in free:
            if (role == "arena" and "w" not in memory.access) or (plan.npu is not None and not memory.npu):
                continue
            left = memory.size - sum(needs.get(memory.name, {}).values())
            whole = plan.arena.size if role == "arena" else constant_bytes(plan)
            if left >= whole:
                every = (*names, memory.name) if spreads else (memory.name,)
                listed = ", ".join(f'"{name}"' for name in every)
                value = f"{role} = [{listed}]" if spreads else f"{role} = {listed}"
                option = " ".join(f"--{role} {name}" for name in every) + ", or " if spreads else ""
                return f"{memory.name} has room: {option}`{value}` below [placement] in a board file."
    return ""


def constants_by_memory(plan: Plan, place: Placement) -> Mapping[str, int]:
    """Bytes of constants by the memory that they lie in."""
    elsewhere = constants_elsewhere(plan)
    return {place.constants: constant_bytes(plan) - sum(elsewhere.values()), **elsewhere}


def constants_elsewhere(plan: Plan) -> dict[str, int]:
    """Bytes of constants in memories behind the first, by their names."""
    sizes: dict[str, int] = defaultdict(int)
    for id, memory in plan.constants_in.items():
        sizes[memory] += plan.tensors[id].nbytes
    return dict(sizes)


def _unreachable(plan: Plan, board: Board, place: Placement) -> Iterator[str]:
    """Memories that the NPU works on and does not reach."""
    if plan.npu is None:
        return
    reached = {memory.name for memory in board.memory if memory.npu}
    for role, names in (("arena", place.arenas), ("constants", place.weights), ("fast", (place.fast,))):
        if reached.isdisjoint(names) and names != (None,):
            listed = " or ".join(map(str, names))
            yield f"{plan.name}: {board.id}: placement.{role}: the NPU does not reach {listed}"


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
