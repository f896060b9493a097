"""Factors that are repeated for each channel, read where they lie: the gates of attention and the like.

`x * gate` with a gate of one channel comes as copies of the gate, channel behind channel, in another layout
then. A product reads each element as often as it needs it.
"""

from collections import Counter
from dataclasses import replace

import numpy as np

from mcu_build.ir.calls.moves import Permute, PermuteParams
from mcu_build.ir.calls.pairs import Mul
from mcu_build.ir.calls.struct import Broadcast
from mcu_build.ir.plan import DType, Plan, Step
from mcu_build.vectors.npz import Array


def fuse_repeats(plan: Plan) -> Plan:
    """Products of an image and of copies of a factor, without the copies."""
    kept = {*plan.outputs, *(tensor.alias_of for tensor in plan.tensors.values())}
    makers = {step.call.output: step.call for step in plan.steps if isinstance(step.call, Permute)}
    makers = {id: call for id, call in makers.items() if id not in kept and plan.tensors[id].alias_of is None}
    if not makers:
        return plan
    steps = [
        step.calling(_reading(plan, makers, step.call)) if isinstance(step.call, Mul) else step
        for step in plan.steps
    ]
    return replace(plan, steps=_needed(steps, makers))


def _needed(steps: list[Step], makers: dict[int, Permute]) -> tuple[Step, ...]:
    """Steps without the copies that nobody reads any more."""
    readers = Counter(id for step in steps for id in {*step.reads})
    needed: list[Step] = []
    for step in reversed(steps):
        if isinstance(step.call, Permute) and step.call.output in makers and not readers[step.call.output]:
            readers.subtract({*step.reads})
        else:
            needed.append(step)
    return tuple(reversed(needed))


def _reading(plan: Plan, makers: dict[int, Permute], call: Mul) -> Mul:
    """The product with one of its factors read where it lies, if that is copied for it."""
    if not call.params.space.both_dense or call.first == call.second:
        return call
    count = call.params.space.elements
    for role, id in (("second", call.second), ("first", call.first)):
        source = _repeated(plan, makers, id, count)
        if source is None:
            continue
        size = plan.tensors[source].elements
        each = count // size
        dense, repeated = (0, 0, 0, 0, each, 1), (0, 0, 0, 0, 1, 0)
        strides = (repeated, dense) if role == "first" else (dense, repeated)
        space = Broadcast((1, 1, 1, 1, size, each), *strides)
        return replace(call, params=replace(call.params, space=space), **{role: source})
    return call


def _repeated(plan: Plan, makers: dict[int, Permute], id: int, count: int) -> int | None:
    """What `id` holds each element of, several times beside itself; None: it is nothing like that."""
    moved = []
    while id in makers:
        moved.append(makers[id].params)
        id = makers[id].input
    source = plan.tensors[id]
    if not moved or source.dtype is not DType.I8 or source.is_constant or source.alias_of is not None:
        return None
    if count <= source.elements or count % source.elements:
        return None
    where = np.arange(source.elements)
    for params in reversed(moved):
        where = _moved(params, where)
    same = np.array_equal(where, np.arange(count) // (count // source.elements))
    return id if same else None


def _moved(params: PermuteParams, elements: Array) -> Array:
    """Bytes as permute.h moves them."""
    at = np.zeros(params.shape, np.int64)
    for axis, (size, stride) in enumerate(zip(params.shape, params.strides, strict=True)):
        at += (np.arange(size) * stride).reshape([-1 if axis == other else 1 for other in range(6)])
    moved: Array = elements[(at.reshape(-1, 1) + np.arange(params.element_bytes)).reshape(-1)]
    return moved
