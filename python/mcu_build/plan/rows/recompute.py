"""Skip connections that are computed again where they are read late, instead of being kept.

What a U-Net keeps on its way down for its way up is alive while everything between runs. Where a few layers
make it from less (the image, a smaller tensor), they run twice: what is kept meanwhile is what they read. Row
by row they need a few rows of it the second time. The same kernels on the same bytes: the result is the same.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mcu_build.ir.plan import Plan, Step
from mcu_build.plan.memory.allocate import Block, lifetimes
from mcu_build.plan.memory.inplace import allow_inplace

# Steps between two readers of a tensor from which on it is worth a thought.
_FAR = 4
# Layers that run twice for one tensor, and tensors of a plan that are computed again, at most.
_MOST_LAYERS = 4
_MOST_TENSORS = 3
# What a multiply-accumulate costs, in cycles, and an element where there are none: about that on a Cortex-M4.
_CYCLES_OF_MAC = 1.0
_CYCLES_OF_ELEMENT = 2.0


@dataclass(frozen=True)
class Recomputed:
    """A plan with layers that run twice, and what that is thought to cost in cycles."""

    plan: Plan
    cycles: int


@dataclass(frozen=True)
class _Again:
    """Steps, by their indices in order, that make `tensor` once more before the step `reader`."""

    tensor: int
    reader: int
    steps: tuple[int, ...]
    saved: int


def recomputed(plan: Plan) -> Iterator[Recomputed]:
    """The plan with one tensor computed again, then with another one, too, and so on: the largest gain first.

    `plan` is not placed yet. None where no skip connection is worth it.
    """
    cycles = 0.0
    for _ in range(_MOST_TENSORS):
        best = max(_worthwhile(plan), key=lambda way: (way.saved, -way.reader), default=None)
        if best is None:
            return
        cycles += sum(_cycles(plan, plan.steps[index]) for index in best.steps)
        plan = _repeated(plan, best)
        yield Recomputed(plan, int(cycles))


def _worthwhile(plan: Plan) -> Iterator[_Again]:
    """For each tensor with a late reader, the layers that make it from the least that has to be kept."""
    blocks = {block.id: block for block in lifetimes(plan)}
    aliased = {tensor.alias_of for tensor in plan.tensors.values()}
    makers: dict[int, list[int]] = defaultdict(list)
    readers: dict[int, list[int]] = defaultdict(list)
    for index, step in enumerate(plan.steps):
        for id in step.writes:
            makers[id].append(index)
        for id in dict.fromkeys(step.reads):
            readers[id].append(index)
    alone = {id: steps[0] for id, steps in makers.items() if len(steps) == 1 and id not in aliased}
    for id in alone:
        late = next((b for a, b in zip(readers[id], readers[id][1:], strict=False) if b - a > _FAR), None)
        if late is not None and id in blocks and id not in plan.outputs:
            ways = _ways(plan, id, late, alone, blocks)
            if best := max(ways, key=lambda way: (way.saved, -len(way.steps)), default=None):
                yield best


def _ways(
    plan: Plan, id: int, reader: int, alone: Mapping[int, int], blocks: Mapping[int, Block]
) -> Iterator[_Again]:
    """The last layer before a tensor, the last two and so on, where that keeps fewer bytes alive."""
    steps: list[int] = []
    source = id
    while len(steps) < _MOST_LAYERS and source in alone:
        index = alone[source]
        read = [read for read in plan.steps[index].reads if not plan.owner(read).is_constant]
        if len(read) != 1 or not _runs_by_rows(plan, plan.steps[index]) or read[0] not in blocks:
            return
        (source,) = read
        steps.insert(0, index)
        longer = blocks[source].size if blocks[source].last < reader else 0
        if longer < blocks[id].size:
            yield _Again(id, reader, tuple(steps), blocks[id].size - longer)


def _runs_by_rows(plan: Plan, step: Step) -> bool:
    """Whether it makes one image from others, and does nothing else."""
    return len(step.call.writes) == 1 and step.call.needed_rows(plan.tensors, range(1)) is not None


def _repeated(plan: Plan, again: _Again) -> Plan:
    tensors, names = dict(plan.tensors), dict[int, int]()
    for index in again.steps:
        (output,) = plan.steps[index].writes
        names[output] = max(tensors) + 1
        whole = tensors[output]
        tensors[names[output]] = replace(whole, id=names[output], name=f"{whole.name}_again")
    copies = [plan.steps[index].renamed(names) for index in again.steps]
    late = {again.tensor: names[again.tensor]}
    before: Sequence[Step] = plan.steps[: again.reader]
    behind = [step.renamed(late) for step in plan.steps[again.reader :]]
    return allow_inplace(replace(plan, tensors=tensors, steps=(*before, *copies, *behind)))


def _cycles(plan: Plan, step: Step) -> float:
    elements = plan.tensors[step.writes[0]].elements
    return _CYCLES_OF_MAC * step.macs if step.macs else _CYCLES_OF_ELEMENT * elements
