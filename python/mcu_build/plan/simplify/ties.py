"""Which channels of a plan's tensors can only be left out together.

A depthwise convolution, an addition, a pool and their like need the same channels in what they read and in
what they write, so those are tied: a union-find over pairs of a tensor and a channel. Plain convolutions and
linear layers tie nothing: they read some channels and make others. What any other kernel touches is kept, and
so are the model's inputs and outputs.
"""

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import cast

import numpy as np

from mcu_build.ir.plan import DType, Plan, Step
from mcu_build.plan.simplify.ranges import Ints, channels_of, is_dense, is_whole, members_of

# Channels of one tensor and those of another that they are tied to, in pairs.
Tie = tuple[int, Ints, int, Ints]


class Ties:
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
            found = ties_of(plan, step)
            if found is None:
                kept.update(id for id in step.arguments if id is not None)
                continue
            # Weights and tables are nobody's channels; a step that has some as an operand keeps them all.
            kept.update(id for id in step.reads if id not in _images(step, found))
            self._tie(found)
        for id, tensor in plan.tensors.items():
            if tensor.alias_of is not None:
                between = _alias(plan, id)
                kept.update(() if between else (id, tensor.alias_of))
                self._tie(between)
        self.groups = {id: self._roots(id, channels_of(tensor)) for id, tensor in plan.tensors.items()}
        self.kept = {int(group) for id in kept for group in self.groups[id]}

    def _tie(self, ties: list[Tie]) -> None:
        for one, channels, other, others in ties:
            for a, b in zip(channels.tolist(), others.tolist(), strict=True):
                self._parent[self._root(self._first[one] + a)] = self._root(self._first[other] + b)

    def _root(self, node: int) -> int:
        while self._parent[node] != node:
            self._parent[node] = self._parent[self._parent[node]]
            node = int(self._parent[node])
        return node

    def _roots(self, id: int, channels: int) -> Ints:
        return np.array([self._root(self._first[id] + channel) for channel in range(channels)])


def _images(step: Step, ties: list[Tie]) -> set[int]:
    """What a step reads as channels."""
    tied = {id for tie in ties for id in (tie[0], tie[2])}
    return tied if tied else {cast(int, step.arguments[0])}


def _alias(plan: Plan, id: int) -> list[Tie]:
    """An alias and its source; empty where their channels are not of one kind."""
    tensor = plan.tensors[id]
    assert tensor.alias_of is not None
    if not is_whole(plan, tensor):
        return []
    return list(_cyclic(plan, id, tensor.alias_of))


def _cyclic(plan: Plan, one: int, other: int) -> Iterator[Tie]:
    """The same elements under two shapes, where the channels of one are a multiple of the other's."""
    if channels_of(plan.tensors[one]) < channels_of(plan.tensors[other]):
        one, other = other, one
    more, fewer = (channels_of(plan.tensors[id]) for id in (one, other))
    if more % fewer == 0:
        yield one, np.arange(more), other, np.arange(more) % fewer


def ties_of(plan: Plan, step: Step) -> list[Tie] | None:
    """What a step ties; None where its channels must stay."""
    rule = _RULES.get(step.kernel)
    if rule is None or len(step.writes) != 1 or plan.tensors[step.writes[0]].alias_of is not None:
        return None
    image = plan.tensors[cast(int, step.arguments[0])]
    if image.dtype is not DType.I8 or image.id == step.writes[0]:
        return None
    return rule(plan, step)


def _has(plan: Plan, id: int | None, channels: int) -> bool:
    return id is not None and channels_of(plan.tensors[id]) == channels


def _sides(step: Step) -> tuple[int, int]:
    """Channels of the image that a step reads and of that it writes."""
    sizes = (cast(Mapping[str, int], members_of(step)[name]) for name in ("input", "output"))
    read, written = (size["channels"] for size in sizes)
    return read, written


def _are_constants(plan: Plan, step: Step) -> bool:
    ids = (id for id in step.arguments[1:] if id is not None and id not in step.writes)
    return all(plan.tensors[id].data is not None for id in ids)


def _convolution(plan: Plan, step: Step) -> list[Tie] | None:
    read, written = _sides(step)
    fits = _has(plan, step.arguments[0], read) and _has(plan, step.writes[0], written)
    return [] if fits and members_of(step)["groups"] == 1 and _are_constants(plan, step) else None


def _linear(plan: Plan, step: Step) -> list[Tie] | None:
    members = cast(Mapping[str, int], members_of(step))
    fits = _has(plan, step.arguments[0], members["inputs"]) and _has(plan, step.writes[0], members["outputs"])
    return [] if fits and _are_constants(plan, step) else None


def _depthwise(plan: Plan, step: Step) -> list[Tie] | None:
    read, written = _sides(step)
    source, target = cast(int, step.arguments[0]), step.writes[0]
    if not _has(plan, source, read) or not _has(plan, target, written) or not _are_constants(plan, step):
        return None
    return [(target, np.arange(written), source, np.arange(written) // (written // read))]


def _each(plan: Plan, step: Step) -> list[Tie] | None:
    """All operands but constants of one line (tables) go with the output, channel by channel."""
    source, target = cast(int, step.arguments[0]), step.writes[0]
    channels = channels_of(plan.tensors[target])
    return (
        [(source, np.arange(channels), target, np.arange(channels))] if _has(plan, source, channels) else None
    )


def _pool(plan: Plan, step: Step) -> list[Tie] | None:
    return _each(plan, step) if _has(plan, step.writes[0], _sides(step)[1]) else None


def _pair(plan: Plan, step: Step) -> list[Tie] | None:
    target = step.writes[0]
    channels = channels_of(plan.tensors[target])
    if not is_dense(members_of(step)) or not all(_has(plan, id, channels) for id in step.reads):
        return None
    same = np.arange(channels)
    return [(id, same, target, same) for id in step.reads]


def _pad(plan: Plan, step: Step) -> list[Tie] | None:
    """Only of whole pixels that lie together."""
    names = ("shape", "inside", "strides")
    shape, inside, strides = (cast(tuple[int, ...], members_of(step)[name]) for name in names)
    channels = shape[-1]
    dense = [prod(inside[position + 1 :]) for position in range(4)]
    together = all(n == 1 or have == want for n, have, want in zip(inside, strides, dense, strict=True))
    fits = together and inside[-1] == channels
    return _each(plan, step) if fits and _has(plan, step.writes[0], channels) else None


def _concat(plan: Plan, step: Step) -> list[Tie] | None:
    """Channels behind channels, or whole pixels behind pixels."""
    members = cast(Mapping[str, int], members_of(step))
    source, target = cast(int, step.arguments[0]), step.writes[0]
    read, written = (channels_of(plan.tensors[id]) for id in (source, target))
    if (members["bytes"], members["stride"]) == (read, written):
        return [(source, np.arange(read), target, members["offset"] + np.arange(read))]
    whole = all(members[name] % written == 0 for name in ("bytes", "stride", "offset"))
    return _each(plan, step) if whole else None


_RULES: Mapping[str, Callable[[Plan, Step], list[Tie] | None]] = {
    "conv2d_s8": _convolution,
    "linear_s8": _linear,
    "depthwise_conv2d_s8": _depthwise,
    "avg_pool2d_s8": _pool,
    "avg_pool2d_float_s8": _pool,
    "max_pool2d_s8": _pool,
    "resample_s8": _pool,
    "lookup_s8": _each,
    "add_s8": _pair,
    "mul_s8": _pair,
    "pad_x8": _pad,
    "concat": _concat,
}
