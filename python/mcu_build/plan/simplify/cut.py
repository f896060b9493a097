"""A plan with some channels left out of its tensors, weights and parameters."""

from collections.abc import Mapping
from dataclasses import replace

from mcu_build.ir.channels import Cut, Mask, array_of
from mcu_build.ir.plan import Plan, Step
from mcu_build.ir.tensor import Tensor
from mcu_build.plan.simplify.ranges import Ranges


def without_channels(plan: Plan, keep: Mapping[int, Mask], ranges: Ranges) -> Plan:
    """`keep` says of every tensor which channels stay; those that do not must be of no use (coupled.py)."""
    tensors = {id: _tensor(tensor, keep[id]) for id, tensor in plan.tensors.items()}
    cut = Cut(plan.tensors, keep, ranges, tensors)
    steps = tuple(_step(cut, step) for step in plan.steps)
    return replace(plan, tensors=cut.tensors, steps=steps)


def _tensor(tensor: Tensor, keep: Mask) -> Tensor:
    if keep.all():
        return tensor
    position = max(place for place, size in enumerate(tensor.shape) if size != 1)
    shape = (*tensor.shape[:position], int(keep.sum()), *tensor.shape[position + 1 :])
    data = tensor.data
    if data is not None:
        data = array_of(tensor).reshape(-1, len(keep))[:, keep].astype(tensor.dtype.numpy_name).tobytes()
    return replace(tensor, shape=shape, data=data)


def _step(cut: Cut, step: Step) -> Step:
    if all(cut.keep[id].all() for id in step.arguments if id is not None):
        return step
    return step.calling(step.call.without_channels(cut))
