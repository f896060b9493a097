"""Weights of a slow memory that are copied into the arena before their layer reads them.

A layer reads its weights many times. From a memory whose reads wait, it is quicker to read them once, into
the arena, and then from there. That takes room only while the layer runs: layers with many weights have small
images. What has no room is read where it lies.
"""

from dataclasses import replace

from mcu_build.ir.calls.moves import Copy
from mcu_build.ir.calls.outside import Delegated, EthosU
from mcu_build.ir.plan import Plan, Step
from mcu_build.ir.tensor import aligned
from mcu_build.plan.memories import Memories, reads, spread_constants
from mcu_build.plan.memory import live_bytes

# Cycles that a copied byte costs besides its waits.
_CYCLES_OF_BYTE = 0.5


def copy_weights(plan: Plan, memories: Memories) -> Plan:
    """The plan, not placed yet, with copies of the weights whose layers then wait less.

    No step has more live bytes for it than the fullest one has without, or than `memories` permit.
    """
    waits = {room.name: room.wait for room in memories.constants}
    if not any(waits.values()) or not plan.steps:
        return plan
    found = reads(plan)
    lies = spread_constants(plan, memories.constants, memories.pins).constants_in
    quick = min((room.wait for room in memories.arenas), default=0.0)
    readers = _readers(plan)
    live = live_bytes(plan)[1:-1]
    room = max(memories.copies, *live)
    savings = []
    for id in readers:
        wait, size = waits[lies.get(id, memories.constants[0].name)], plan.tensors[id].nbytes
        saved = found[id] * (wait - quick) - size * (wait + _CYCLES_OF_BYTE)
        if saved > 0:
            savings.append((-saved, id))
    copied: dict[int, int] = {}
    for _, id in sorted(savings):
        size = aligned(plan.tensors[id].nbytes)
        if live[readers[id]] + size <= room:
            live[readers[id]] += size
            copied[id] = readers[id]
    return _with_copies(plan, copied)


def _readers(plan: Plan) -> dict[int, int]:
    """The step that reads each constant, of those that one step reads, on the core."""
    steps: dict[int, set[int]] = {}
    for index, step in enumerate(plan.steps):
        for id in step.arguments:
            if id is not None and plan.owner(id).is_constant:
                # Parts of constants are left where they are, and what an NPU reads.
                fixed = plan.tensors[id].alias_of is not None or isinstance(step.call, EthosU | Delegated)
                steps.setdefault(plan.owner(id).id, set()).update({index, -1} if fixed else {index})
    return {id: next(iter(found)) for id, found in steps.items() if len(found) == 1}


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
    steps: list[Step] = []
    for index, step in enumerate(plan.steps):
        steps += before.get(index, [])
        steps.append(step.renamed(names[index]) if index in names else step)
    return replace(plan, tensors=tensors, steps=tuple(steps))
