"""Plan → a table that the runner of firmware/include/mcu/runtime/plan.h executes. Pure bytes.

Beside the compiled calls of codegen/model.py: the same kernels, the same packed weights, the same arena.
"""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from mcu_build.codegen.kernel_set import Numbers
from mcu_build.ir.calls.memory import packed
from mcu_build.ir.plan import ALIGNMENT, Plan, Tensor

MAGIC, FORMAT = b"MCUT", b"PM01"
HEADER = struct.Struct("<4s4sIIQ3IIIIII8x")
STEP = struct.Struct("<III")
PLACE = struct.Struct("<II")
PARAMS_ALIGNMENT = 8  # of an int64_t
CHECKED = 12  # the checksum covers what follows it
_MAX_EXTENT = (1 << 29) - 1
# Regions of a place, as plan.h numbers them.
NOTHING, ARENA, FAST, STATE, TABLE = range(5)


@dataclass
class _Bytes:
    """What grows at the end of a table. `gap` are bytes between constants that no kernel may touch."""

    start: int
    gap: int
    data: bytearray = field(default_factory=bytearray)

    def add(self, part: bytes, alignment: int) -> int:
        """Offset in the table at which `part` was put."""
        self.data += bytes(-(self.start + len(self.data)) % alignment)
        offset = self.start + len(self.data)
        self.data += part + bytes(self.gap)
        return offset


def encode(plan: Plan, kernels: Numbers, gap: int = 0) -> bytes:
    """The table of a placed plan for firmware with `kernels`. ValueError where it does not fit the format.

    `gap` keeps constants so many bytes apart, so that a sanitizer can tell reads beyond one's end.
    """
    operands = [id for step in plan.steps for id in step.arguments]
    count = len(plan.inputs) + len(plan.outputs) + len(operands)
    tail = _Bytes(HEADER.size + STEP.size * len(plan.steps) + PLACE.size * count, gap)
    steps = _steps(plan, kernels, tail)
    constants = {tensor.id: tail.add(tensor.data or b"", ALIGNMENT) for tensor in _constants(plan, operands)}
    places = [_place(plan, id, constants) for id in (*plan.inputs, *plan.outputs, *operands)]
    initial = tail.add(plan.initial_state, ALIGNMENT) if any(plan.initial_state) else 0
    body = b"".join((*steps, *places, tail.data))
    memory = (plan.arena.size, plan.fast_size, len(plan.initial_state))
    counts = (len(plan.steps), count, len(plan.inputs), len(plan.outputs))
    size = HEADER.size + len(body)
    header = HEADER.pack(MAGIC, FORMAT, 0, size, kernels.id, *memory, initial, *counts)
    return sealed(header + body)


def sealed(table: bytes) -> bytes:
    """The same with the checksum of its bytes."""
    crc = zlib.crc32(table[CHECKED:])
    return table[: CHECKED - 4] + struct.pack("<I", crc) + table[CHECKED:]


def _steps(plan: Plan, kernels: Numbers, tail: _Bytes) -> list[bytes]:
    first, steps = len(plan.inputs) + len(plan.outputs), []
    params: dict[bytes, int] = {}  # Bands of rows have the same.
    for step in plan.steps:
        data = packed(step.params) if step.params is not None else b""
        if data not in params:
            params[data] = tail.add(data, PARAMS_ALIGNMENT)
        steps.append(STEP.pack(kernels.number(step), params[data], first))
        first += len(step.arguments)
    return steps


def _constants(plan: Plan, operands: Iterable[int | None]) -> list[Tensor]:
    owners = {plan.owner(id).id for id in operands if id is not None}
    return [plan.tensors[id] for id in sorted(owners) if plan.tensors[id].is_constant]


def _place(plan: Plan, id: int | None, constants: dict[int, int]) -> bytes:
    if id is None:
        return PLACE.pack(0, 0)
    tensor, owner = plan.tensors[id], plan.owner(id)
    if owner.is_constant:
        region, offset = TABLE, constants[owner.id] + _within(plan, id)
    elif owner.fast:
        region, offset = FAST, 0
    else:
        region, offset = (ARENA if owner.state is None else STATE), plan.offset(id)
    if tensor.nbytes > _MAX_EXTENT:
        raise ValueError(
            f"{plan.name}: {tensor.name} has {tensor.nbytes:,} bytes, a table takes {_MAX_EXTENT:,}"
        )
    return PLACE.pack(offset, region << 29 | tensor.nbytes)


def _within(plan: Plan, id: int) -> int:
    """Bytes from the start of the tensor that owns the bytes of `id`."""
    offset, tensor = 0, plan.tensors[id]
    while tensor.alias_of is not None:
        offset, tensor = offset + tensor.alias_offset, plan.tensors[tensor.alias_of]
    return offset
