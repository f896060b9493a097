"""Operands of a concatenation made where they belong, instead of copied there."""

from collections.abc import Callable
from dataclasses import replace

from mcu_build.plan.ir import ALIGNMENT, Plan, Step
from mcu_build.plan.memory import live_bytes

Placed = Callable[[Plan], Plan]


def join_in_place(plan: Plan, place: Placed) -> Plan:
    """`plan` placed, with operands of concatenations as parts of the output where the arena stays as small.

    That takes an operand that lies in one piece in the output, that nothing else holds, and that begins where
    tensors may begin. The output then lives from when its first part is made.
    """
    best = place(plan)
    for step in plan.steps:
        joined = _joined(plan, step)
        assert best.arena is not None
        if joined is None or max(live_bytes(joined), default=0) > best.arena.size:
            continue
        made = place(joined)
        assert made.arena is not None
        if made.arena.size <= best.arena.size:
            plan, best = joined, made
    return best


def _joined(plan: Plan, step: Step) -> Plan | None:
    """The plan without a concatenation step, whose operand becomes a part of the output."""
    if step.kernel != "concat" or step.params is None or step.params.members["rows"] != 1:
        return None
    operand, output = step.reads[0], step.writes[0]
    owner, offset = plan.owner(operand), step.params.members["offset"]
    assert isinstance(offset, int)
    fixed = {plan.owner(id).id for id in (*plan.inputs, *plan.outputs)}
    if owner.is_constant or owner.fast or owner.id in fixed or owner.id == plan.owner(output).id:
        return None
    if plan.tensors[operand].nbytes != owner.nbytes or offset % ALIGNMENT:
        return None
    tensors = {**plan.tensors, owner.id: replace(owner, alias_of=output, alias_offset=offset)}
    return replace(plan, tensors=tensors, steps=tuple(other for other in plan.steps if other is not step))
