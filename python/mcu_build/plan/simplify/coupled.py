"""Which channels of a plan's tensors can only be left out together.

A depthwise convolution, an addition, a pool and their like need the same channels in what they read and in
what they write, so those are coupled: a union-find over pairs of a tensor and a channel. Plain convolutions
and linear layers couple nothing: they read some channels and make others. What any other kernel touches is
kept, and so are the model's inputs and outputs.
"""

from collections.abc import Sequence

import numpy as np

from mcu_build.ir.channels import Coupling, Ints, channels_of, repeated
from mcu_build.ir.plan import Plan, Step
from mcu_build.ir.tensor import DType
from mcu_build.plan.simplify.ranges import is_whole


class Coupled:
    """The groups of channels of a plan; a group is named by a number."""

    def __init__(self, plan: Plan) -> None:
        self._first: dict[int, int] = {}
        count = 0
        for id, tensor in plan.tensors.items():
            self._first[id] = count
            count += channels_of(tensor)
        self._parent = np.arange(count)
        kept: set[int] = {*plan.inputs, *plan.outputs}
        for step in plan.steps:
            coupled = coupled_of(plan, step)
            if coupled is None:
                kept.update(id for id in step.arguments if id is not None)
                continue
            # Weights and tables are nobody's channels; a step that has some as an operand keeps them all.
            kept.update(id for id in step.reads if id not in _images(step, coupled))
            self._couple(coupled)
        for id, tensor in plan.tensors.items():
            if tensor.alias_of is not None:
                between = _alias(plan, id, tensor.alias_of)
                kept.update(() if between else (id, tensor.alias_of))
                self._couple(between)
        roots = self._roots(np.arange(count))
        spans = {id: (self._first[id], channels_of(tensor)) for id, tensor in plan.tensors.items()}
        self.groups = {id: roots[first : first + count] for id, (first, count) in spans.items()}
        self.kept = {group for id in kept for group in self.groups[id].tolist()}

    def _couple(self, coupled: Sequence[Coupling]) -> None:
        for tensor, channels, other, others in coupled:
            first = self._roots(channels + self._first[tensor])
            second = self._roots(others + self._first[other])
            apart = first != second
            first, second = first[apart], second[apart]
            if len(np.unique(first)) == len(first) and not np.isin(first, second).any():
                self._parent[first] = second
                continue
            for a, b in zip(first, second, strict=True):
                self._parent[self._roots(a)] = self._roots(b)

    def _roots(self, nodes: Ints) -> Ints:
        roots = self._parent[nodes]
        while not np.array_equal(roots, further := self._parent[roots]):
            roots = further
        self._parent[nodes] = roots
        return roots


def _images(step: Step, coupled: Sequence[Coupling]) -> set[int | None]:
    """What a step reads as channels."""
    ids = {id for coupling in coupled for id in (coupling[0], coupling[2])}
    return {*ids} if ids else {step.arguments[0]}


def _alias(plan: Plan, id: int, source: int) -> list[Coupling]:
    """An alias and its source; empty where their channels are not of one kind."""
    if not is_whole(plan.tensors[id], plan.tensors[source]):
        return []
    return list(repeated(plan.tensors, id, source))


def coupled_of(plan: Plan, step: Step) -> list[Coupling] | None:
    """What a step couples; None where its channels must stay."""
    if len(step.writes) != 1 or plan.tensors[step.writes[0]].alias_of is not None:
        return None
    image = step.arguments[0]
    if image is None or plan.tensors[image].dtype is not DType.I8 or image == step.writes[0]:
        return None
    return step.call.coupled_channels(plan.tensors)
