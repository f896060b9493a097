"""Give every output of the model bytes of its own."""

from dataclasses import replace

from mcu_build.ir.calls.moves import Copy
from mcu_build.ir.plan import Plan, Step


def separate_outputs(plan: Plan) -> Plan:
    """Copy outputs that would otherwise be an input's, a constant's or another output's bytes.

    An application may write an input while it still reads an output; two outputs that share bytes could be
    distinguished by nobody; a constant cannot be handed out as memory to write.
    """
    tensors, steps, outputs = dict(plan.tensors), list(plan.steps), list(plan.outputs)
    taken = {plan.owner(id).id for id in plan.inputs}
    next_id = max(tensors, default=-1) + 1
    for index, id in enumerate(outputs):
        owner = plan.owner(id)
        if owner.id not in taken and not owner.is_constant:
            taken.add(owner.id)
            continue
        source = tensors[id]
        copy = replace(
            source, id=next_id, name=f"{source.name}_out", data=None, alias_of=None, alias_offset=0
        )
        tensors[copy.id] = copy
        steps.append(Step.of("copy", "", Copy.of(source, copy)))
        outputs[index] = copy.id
        taken.add(copy.id)
        next_id += 1
    return replace(plan, tensors=tensors, steps=tuple(steps), outputs=tuple(outputs))
