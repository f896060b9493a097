"""Permutes that another one undoes.

Operators over images want their channels last in memory, those of a model over signals first: lowering leaves
a permute in front of each and one behind. Between two that undo each other stand at most steps that take
element by element, which compute the same in any order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import gcd
from typing import Any, cast

import numpy as np

from mcu_build.plan.ir import Plan, Step, Tensor

# Steps element by element, and how many operands they have.
_OPERANDS = {"lookup_s8": 1, "add_s8": 2, "mul_s8": 2}

Places = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class _Undone:
    """Tensor `source` holds what a permute would make, once `steps`, by index, and `tensors` are as here."""

    source: int
    steps: Mapping[int, Step]
    tensors: Mapping[int, Tensor]


def cancel_permutes(plan: Plan) -> Plan:
    """Let a permute's output be an alias of what another one has permuted before; drop what is unread."""
    for step in plan.steps:
        if step.kernel != "permute" or not any(step is other for other in plan.steps):
            continue
        found = _traced(plan, step, cast(int, step.arguments[0]))
        if found is not None:
            plan = _without(plan, step, found)
    return plan


def _traced(plan: Plan, permute: Step, id: int) -> _Undone | None:
    """What tensor `id` was made from, if `permute` undoes the permutes on every way back from it."""
    owner = plan.owner(id)
    made = [index for index, step in enumerate(plan.steps) if owner.id in _owners(plan, step.writes)]
    if len(made) != 1 or plan.tensors[id].nbytes != owner.nbytes:
        return None
    step = plan.steps[made[0]]
    if step.kernel == "permute":
        source = cast(int, step.arguments[0])
        return _Undone(source, {}, {}) if _undoes(plan, step, permute) else None
    if not _is_element_by_element(step) or _uses(plan, owner.id) != 1:
        return None
    count = _OPERANDS[step.kernel]
    found = [_traced(plan, permute, cast(int, operand)) for operand in step.arguments[:count]]
    ways = [way for way in found if way is not None]
    if len(ways) < count:
        return None
    steps = {index: other for way in ways for index, other in way.steps.items()}
    tensors = {index: tensor for way in ways for index, tensor in way.tensors.items()}
    arguments = (*(way.source for way in ways), *step.arguments[count:])
    like = tensors.get(ways[0].source, plan.tensors[ways[0].source])
    return _Undone(
        owner.id,
        {**steps, made[0]: replace(step, arguments=arguments)},
        {**tensors, owner.id: replace(owner, shape=like.shape, dim_order=like.dim_order)},
    )


def _owners(plan: Plan, ids: tuple[int, ...]) -> set[int]:
    return {plan.owner(id).id for id in ids}


def _uses(plan: Plan, owner: int) -> int:
    """How many steps read a tensor, as an output of the model it counts as one more."""
    readers = sum(owner in _owners(plan, step.reads) for step in plan.steps)
    return readers + (owner in _owners(plan, plan.outputs))


def _is_element_by_element(step: Step) -> bool:
    """Whether element n of the output is made of elements n of the operands."""
    if step.kernel not in _OPERANDS or step.params is None:
        return False
    if _OPERANDS[step.kernel] == 1:
        return True
    walk = cast(Mapping[str, tuple[int, ...]], step.params.members["walk"])
    return walk["shape"][:-1] == (1, 1, 1, 1, 1) and walk["first"][-1] == walk["second"][-1] == 1


def _undoes(plan: Plan, first: Step, second: Step) -> bool:
    """Whether `second` brings every byte back to where it was before `first`."""
    sizes = {plan.tensors[cast(int, id)].nbytes for step in (first, second) for id in step.arguments}
    if len(sizes) != 1:
        return False
    unit = gcd(*(cast(int, step.params.members["element_bytes"]) for step in (first, second) if step.params))
    before = _places(first, unit)[_places(second, unit) // unit]
    return bool((before == np.arange(before.size) * unit).all())


def _places(step: Step, unit: int) -> Places:
    """For every `unit` bytes of a permute's output, in order, where they are in its input."""
    assert step.params is not None
    members = cast(Mapping[str, tuple[int, ...]], step.params.members)
    found = np.zeros(1, np.int64)
    for size, stride in zip(members["shape"], members["strides"], strict=True):
        found = np.add.outer(found, np.arange(size) * stride).reshape(-1)
    inner = np.arange(0, cast(int, step.params.members["element_bytes"]), unit)
    return np.add.outer(found, inner).reshape(-1)


def _without(plan: Plan, permute: Step, found: _Undone) -> Plan:
    """`permute` left out, with the permutes whose outputs then nobody reads and the views of these."""
    output = plan.tensors[permute.writes[0]]
    tensors = {**plan.tensors, **found.tensors, output.id: replace(output, alias_of=found.source)}
    changed = [found.steps.get(index, step) for index, step in enumerate(plan.steps)]
    steps = tuple(step for step in changed if step is not permute)
    made = replace(plan, tensors=tensors, steps=steps)
    steps = tuple(
        step for step in steps if step.kernel != "permute" or _uses(made, made.owner(step.writes[0]).id)
    )
    return replace(made, steps=steps, tensors=_used(made, steps))


def _used(plan: Plan, steps: tuple[Step, ...]) -> dict[int, Tensor]:
    """The tensors that steps, inputs and outputs name, and those whose bytes these are."""
    found: dict[int, Tensor] = {}
    for id in (*plan.inputs, *plan.outputs, *(id for step in steps for id in step.arguments)):
        while id is not None and id not in found:
            found[id] = plan.tensors[id]
            id = found[id].alias_of
    return found
