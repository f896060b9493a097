"""Tensors moved within the arena, where that makes the arena smaller.

An output that takes over its input's memory starts some rows below it (Call.inplace_distances), so a chain of
such steps walks down through the arena: its size grows with the number of layers. Moving one tensor back up,
a copy of its bytes, starts anew. A copy costs a small part of what the layer that made the tensor costs.
"""

from collections.abc import Collection
from dataclasses import replace

from mcu_build.ir.calls.moves import Move
from mcu_build.ir.plan import Plan, Step
from mcu_build.plan.memory.allocate import place

# Groups of copies that are tried to be left out, at most.
_MOST_TRIED = 32


def allocate_with_relocation(plan: Plan, worth: float = 0.02) -> Plan:
    """Place every activation; move some where that makes the arena smaller by the share `worth` of it."""
    best = place(plan)
    if best.arena.size <= (1 + worth) * best.arena.lower_bound:
        return best
    walking = [index for index, step in enumerate(plan.steps) if _walks_down(plan, step)]
    chosen = walking
    moved = place(_moved(plan, chosen))
    if moved.arena.size >= (1 - worth) * best.arena.size:
        return best
    size = max(1, -(-len(walking) // _MOST_TRIED))
    for start in range(0, len(walking), size):
        group = set(walking[start : start + size])
        fewer = [other for other in chosen if other not in group]
        without = place(_moved(plan, fewer))
        if without.arena.size <= moved.arena.size:
            chosen, moved = fewer, without
    return moved


def _walks_down(plan: Plan, step: Step) -> bool:
    """Whether the step's output takes over memory some way below its input, and could be moved."""
    whole = all(plan.tensors[id].alias_of is None for id in step.writes)
    return whole and not step.inner and any(distance > 0 for distance in step.inplace.values())


def _moved(plan: Plan, indices: Collection[int]) -> Plan:
    """The plan with a copy after each of the steps `indices`; what follows reads the copy."""
    tensors, renamed = dict(plan.tensors), dict[int, int]()
    steps: list[Step] = []
    next_id = max(tensors, default=-1) + 1
    indices = frozenset(indices)
    for index, step in enumerate(plan.steps):
        steps.append(step.renamed(renamed))
        if index not in indices:
            continue
        source = tensors[step.writes[0]]
        tensors[next_id] = replace(source, id=next_id, name=f"{source.name}_moved")
        move = Move.of(source, tensors[next_id])
        copy = Step.of("move", step.layer, move, step.name)
        steps.append(replace(copy, inplace=move.inplace_distances(tensors)))
        renamed[source.id] = next_id
        next_id += 1
    for id, tensor in tensors.items():
        if tensor.alias_of in renamed:
            tensors[id] = replace(tensor, alias_of=renamed[tensor.alias_of])
    outputs = tuple(renamed.get(id, id) for id in plan.outputs)
    return replace(plan, tensors=tensors, steps=tuple(steps), outputs=outputs)
