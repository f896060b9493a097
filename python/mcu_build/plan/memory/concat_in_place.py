"""Operands of a concatenation made where they belong, instead of copied there."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from mcu_build.ir.calls.moves import Concat
from mcu_build.ir.plan import ALIGNMENT, Plan, Step, Tensor
from mcu_build.plan.memory.allocate import live_bytes

Placed = Callable[[Plan], Plan]

# Groups of concatenations that are tried apart, at most.
_MOST_TRIED = 32


def join_in_place(plan: Plan, place: Placed) -> Plan:
    """`plan` placed, with operands of concatenations as parts of the output where the arena stays as small.

    That takes an operand that lies in one piece in the output, that nothing else holds, and that begins where
    tensors may begin. The output then lives from when its first part is made.
    """
    steps = [step for step in plan.steps if isinstance(step.call, Concat)]
    if len(steps) > _MOST_TRIED:
        # Thousands of parts that all stay until they are joined are slow to place, each for itself.
        joined = _joined(plan, steps)
        if joined is not None and max(live_bytes(joined)) <= max(live_bytes(plan)):
            return place(joined)
    best = place(plan)
    # Few are tried one by one. Many are tried together, and by halves where that makes the arena larger.
    least = -(-len(steps) // _MOST_TRIED)
    groups = [[step] for step in steps] if least <= 1 else [steps]
    while groups:
        group = groups.pop(0)
        joined = _joined(plan, group)
        if joined is None:
            continue
        if max(live_bytes(joined), default=0) <= best.arena.size:
            made = place(joined)
            if made.arena.size <= best.arena.size:
                plan, best = joined, made
                continue
        if len(group) > least:
            middle = len(group) // 2
            groups[:0] = [group[:middle], group[middle:]]
    return best


def operands_in_place(plan: Plan) -> set[int]:
    """Ids of the tensors that may become a part of what they are joined to."""
    fixed = {plan.owner(id).id for id in (*plan.inputs, *plan.outputs)}
    return {part.id for step in plan.steps if (part := _part(plan, step, fixed)) is not None}


def _joined(plan: Plan, group: Sequence[Step]) -> Plan | None:
    """The plan without those concatenation steps of a group whose operand can be a part of the output."""
    tensors = dict(plan.tensors)
    # What joins before it decided is what the next one sees.
    made = replace(plan, tensors=tensors)
    fixed = {plan.owner(id).id for id in (*plan.inputs, *plan.outputs)}
    gone = set()
    for step in group:
        if (part := _part(made, step, fixed)) is not None:
            tensors[part.id] = part
            gone.add(id(step))
    if not gone:
        return None
    return replace(made, steps=tuple(step for step in plan.steps if id(step) not in gone))


def _part(plan: Plan, step: Step, fixed: Collection[int]) -> Tensor | None:
    """The operand of a concatenation step as a part of the output; None where it has to be copied."""
    if not isinstance(step.call, Concat) or step.call.params.rows != 1:
        return None
    operand, output = step.call.input, step.call.output
    owner, offset = plan.owner(operand), step.call.params.offset
    if owner.is_constant or owner.is_apart or owner.id in fixed or owner.id == plan.owner(output).id:
        return None
    if plan.tensors[operand].nbytes != owner.nbytes or offset % ALIGNMENT:
        return None
    return replace(owner, alias_of=output, alias_offset=offset)
