"""Weights of a slow memory that are copied into the arena before their layer reads them.

A layer reads its weights many times. From a memory whose reads wait, it is quicker to read them once, into
the arena, and then from there. That takes room only while the layer runs: layers with many weights have small
images. What has no room is read where it lies. Where the board has a DMA, it copies the largest weights of a
layer while those before run (plan/memory/copy_ahead.py), and the core what else is read often enough.
"""

from dataclasses import dataclass, replace

from mcu_build.ir.calls.dma import DmaStart
from mcu_build.ir.calls.moves import Copy
from mcu_build.ir.calls.outside import Delegated, EthosU
from mcu_build.ir.plan import Plan, Step
from mcu_build.ir.tensor import aligned
from mcu_build.plan.memory.allocate import live_bytes
from mcu_build.plan.memory.copy_ahead import (
    CYCLES_OF_BYTE,
    Candidate,
    buffer_bytes,
    choose,
    inserted,
    step_cycles,
    with_copies_ahead,
)
from mcu_build.plan.memory.memories import Memories, reads, spread_constants

# Cycles that a copied byte costs besides its waits.
_CYCLES_OF_BYTE = 0.5
_NOT_BY_CORE = EthosU | Delegated | DmaStart


@dataclass(frozen=True)
class _Constant:
    """A constant that one step reads: its bytes, the cycles that reads of it wait where it lies, and a byte.

    `by_dma`: a DMA reaches it.
    """

    id: int
    reader: int
    nbytes: int
    waits: float
    wait: float
    by_dma: bool

    @property
    def saved(self) -> float:
        """Cycles that a copy by the core saves."""
        return self.waits - self.nbytes * (self.wait + _CYCLES_OF_BYTE)


def copy_weights(plan: Plan, memories: Memories) -> Plan:
    """The plan, not placed yet, with copies of the weights whose layers then wait less.

    No step has more live bytes for it than the fullest one has without, or than `memories` permit.
    """
    if not any(room.wait for room in memories.constants) or not plan.steps:
        return plan
    room = max(memories.copies, *live_bytes(plan)[1:-1])
    if memories.dma is not None:
        plan = _copied_ahead(plan, memories, room)
    live = live_bytes(plan)[1:-1]
    copied: dict[int, int] = {}
    for constant in sorted(_constants(plan, memories), key=lambda constant: (-constant.saved, constant.id)):
        size = aligned(constant.nbytes)
        if constant.saved > 0 and live[constant.reader] + size <= room:
            live[constant.reader] += size
            copied[constant.id] = constant.reader
    return _with_copies(plan, copied)


def _copied_ahead(plan: Plan, memories: Memories, room: int) -> Plan:
    """The plan with copies by a DMA, of one constant a step: that whose copy saves most."""
    assert memories.dma is not None
    best: dict[int, Candidate] = {}
    for constant in _constants(plan, memories):
        cycles = constant.nbytes * (constant.wait + CYCLES_OF_BYTE)
        size = buffer_bytes(plan.tensors[constant.id])
        candidate = Candidate(
            constant.id, constant.reader, size, cycles, constant.waits - max(constant.saved, 0.0)
        )
        if constant.by_dma and (constant.reader not in best or candidate.saved > best[constant.reader].saved):
            best[constant.reader] = candidate
    cycles_of = [step_cycles(step, plan, memories.dma) for step in plan.steps]
    candidates = [best[reader] for reader in sorted(best)]
    return with_copies_ahead(plan, choose(candidates, cycles_of, live_bytes(plan)[1:-1], room))


def _constants(plan: Plan, memories: Memories) -> list[_Constant]:
    """The constants that may be copied: one step reads them, on the core."""
    counts = reads(plan)
    lies = spread_constants(plan, memories.constants, memories.pins).constants_in
    rooms = {room.name: room for room in memories.constants}
    quick = min((room.wait for room in memories.arenas), default=0.0)
    constants = []
    for id, reader in _readers(plan).items():
        room = rooms[lies.get(id, memories.constants[0].name)]
        waits = counts[id] * (room.wait - quick)
        constants.append(_Constant(id, reader, plan.tensors[id].nbytes, waits, room.wait, room.dma))
    return constants


def _readers(plan: Plan) -> dict[int, int]:
    """The step that reads each constant, of those that one step reads, on the core."""
    steps: dict[int, set[int]] = {}
    for index, step in enumerate(plan.steps):
        for id in step.arguments:
            if id is not None and plan.owner(id).is_constant:
                # Parts of constants are left where they are, what an NPU reads, and what is copied already.
                fixed = plan.tensors[id].alias_of is not None or isinstance(step.call, _NOT_BY_CORE)
                steps.setdefault(plan.owner(id).id, set()).update({index, -1} if fixed else {index})
    return {id: next(iter(readers)) for id, readers in steps.items() if len(readers) == 1}


def _with_copies(plan: Plan, copied: dict[int, int]) -> Plan:
    tensors, next_id = dict(plan.tensors), max(plan.tensors, default=-1) + 1
    before: dict[int, list[Step]] = {}
    names: dict[int, dict[int, int]] = {}
    for id, index in sorted(copied.items()):
        source, step = tensors[id], plan.steps[index]
        tensors[next_id] = replace(source, id=next_id, name=f"{source.name}_copied", data=None)
        copy = Copy.of(source, tensors[next_id])
        before.setdefault(index, []).append(Step.of("copy", step.layer, copy, step.name))
        names.setdefault(index, {})[id] = next_id
        next_id += 1
    return replace(plan, tensors=tensors, steps=inserted(plan.steps, before, names))
