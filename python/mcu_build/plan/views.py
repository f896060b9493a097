"""Tensors that are another one under a second name: steps work on the one that owns the bytes."""

from dataclasses import replace

from mcu_build.ir.plan import Plan
from mcu_build.ir.tensor import Tensor


def without_views(plan: Plan) -> Plan:
    """The plan whose steps know each image by one name, without tensors that nothing knows.

    Programs have views for operators of others, such as copies between memory formats that turn out to move
    nothing. What runs row by row has to know that two of its layers work on the same image.
    """
    names = {
        id: owner.id for id, tensor in plan.tensors.items() if (owner := _same(plan, tensor)) is not None
    }
    known = {names[id]: plan.tensors[id].quantization for id in names}
    steps = tuple(step.renamed(names) for step in plan.steps)
    missing = {id: tensor for id, tensor in known.items() if plan.tensors[id].quantization is None}
    renamed = replace(plan, steps=steps).with_quantization(missing)
    used = {id for step in steps for id in step.arguments if id is not None} | {*plan.inputs, *plan.outputs}
    used |= {below for id in used for below in _below(plan, id)}
    return replace(renamed, tensors={id: tensor for id, tensor in renamed.tensors.items() if id in used})


def _below(plan: Plan, id: int) -> list[int]:
    """What a tensor is a view of, down to the owner of its bytes."""
    views = []
    while (below := plan.tensors[id].alias_of) is not None:
        views.append(id := below)
    return views


def _same(plan: Plan, tensor: Tensor) -> Tensor | None:
    """The owner of a view's bytes, where it is the same array; None for what is no such view."""
    if tensor.alias_of is None:
        return None
    owner, offset = tensor, 0
    while owner.alias_of is not None:
        offset += owner.alias_offset
        owner = plan.tensors[owner.alias_of]
    shapes = [_without_one_row(one.shape) for one in (owner, tensor)]
    is_same = shapes[0] == shapes[1] and (owner.dtype, offset) == (tensor.dtype, 0)
    return owner if is_same and not owner.is_apart and not owner.is_constant else None


def _without_one_row(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a series, which convolutions take as an image of one row."""
    return (shape[0], *shape[2:]) if len(shape) == 4 and shape[1] == 1 else shape
