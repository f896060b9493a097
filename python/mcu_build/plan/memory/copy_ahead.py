"""Weights that a DMA copies into the arena while the layers before run.

One copy is under way at a time: it begins when the one before it is over, at the earliest, and its buffer
takes bytes from then on. So one buffer is being filled while a layer reads from another. Which weights are
copied, and when each copy begins, is found by dynamic programming over the layers that read them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from mcu_build.ir.calls.dma import DmaStart, DmaWait
from mcu_build.ir.calls.moves import CopyParams
from mcu_build.ir.plan import Plan, Step
from mcu_build.ir.tensor import DType, Tensor, aligned

# What the two calls of a copy cost, and what a byte takes besides the waits of its memory: in cycles.
_CYCLES_OF_CALLS = 400
CYCLES_OF_BYTE = 0.25
# A cache line of Cortex-M7, M55 and M85 is two units of alignment: with a unit in front and one behind, no
# line of a buffer holds anything else, wherever it lies.
_BEFORE, _AROUND = 16, 32
# Steps that a copy may be under way, at most.
_LONGEST = 16


@dataclass(frozen=True)
class Candidate:
    """A constant that may be copied ahead of the step `reader`.

    `cycles` are those that the copy takes, `saved` those that it saves where it is over in time, beyond what
    the core's own copy would save.
    """

    id: int
    reader: int
    nbytes: int
    cycles: float
    saved: float


@dataclass(frozen=True)
class Ahead:
    """A copy of a constant that begins before the step `first` and is over before the step `reader`."""

    id: int
    first: int
    reader: int


@dataclass(frozen=True)
class _Choice:
    """Copies up to one of a candidate: all that they save, and the one before."""

    saved: float
    copy: Ahead
    nbytes: int
    before: "_Choice | None"


def buffer_bytes(tensor: Tensor) -> int:
    """What a buffer for a constant takes."""
    return aligned(tensor.nbytes) + _AROUND


def step_cycles(step: Step, plan: Plan, cycles_of_mac: float) -> float:
    """Cycles that a step is thought to take at least."""
    return step.macs * cycles_of_mac + sum(plan.tensors[id].nbytes for id in step.writes)


def choose(
    candidates: Sequence[Candidate], cycles: Sequence[float], live: Sequence[int], room: int
) -> list[Ahead]:
    """The copies that save most together, where no step then has more than `room` live bytes.

    `candidates` in the order of their readers, one a step; `cycles` and `live` are those of each step.
    """
    until = [0.0, *accumulate(cycles)]
    choices: list[_Choice] = []
    # The best of those that are over long before.
    settled: _Choice | None = None
    done = 0
    for candidate in candidates:
        while done < len(choices) and choices[done].copy.reader <= candidate.reader - _LONGEST:
            settled = _better(settled, choices[done])
            done += 1
        options = [_after(before, candidate, until, live, room) for before in (settled, *choices[done:])]
        best = max((option for option in options if option), key=lambda option: option.saved, default=None)
        if best is not None and (settled is None or best.saved > settled.saved):
            choices.append(best)
    last = max(choices, key=lambda choice: choice.saved, default=None)
    copies = []
    while last is not None:
        copies.append(last.copy)
        last = last.before
    return copies[::-1]


def _better(first: _Choice | None, other: _Choice) -> _Choice:
    return other if first is None or other.saved > first.saved else first


def _after(
    before: _Choice | None, candidate: Candidate, until: Sequence[float], live: Sequence[int], room: int
) -> _Choice | None:
    """The copy of a candidate behind another one, begun as late as it takes; None where it saves nothing."""
    earliest = max(candidate.reader - _LONGEST, before.copy.reader if before else 0)
    if live[candidate.reader] + candidate.nbytes > room:
        return None
    first = candidate.reader
    while first > earliest and until[candidate.reader] - until[first] < candidate.cycles:
        beside = before.nbytes if before and before.copy.reader == first - 1 else 0
        if live[first - 1] + beside + candidate.nbytes > room:
            break
        first -= 1
    waited = max(0.0, candidate.cycles - (until[candidate.reader] - until[first]))
    saved = candidate.saved - waited - _CYCLES_OF_CALLS
    if first == candidate.reader or saved <= 0:
        return None
    total = saved + (before.saved if before else 0.0)
    return _Choice(total, Ahead(candidate.id, first, candidate.reader), candidate.nbytes, before)


def with_copies_ahead(plan: Plan, copies: Sequence[Ahead]) -> Plan:
    """The plan, not placed yet, with these copies."""
    tensors, next_id = dict(plan.tensors), max(plan.tensors, default=-1) + 1
    starts: dict[int, Step] = {}
    waits: dict[int, Step] = {}
    names: dict[int, dict[int, int]] = {}
    for copy in copies:
        source, step = tensors[copy.id], plan.steps[copy.reader]
        shape = (buffer_bytes(source),)
        buffer = Tensor(next_id, f"{source.name}_ahead", DType.I8, shape, (0,))
        view = replace(source, id=next_id + 1, data=None, alias_of=next_id, alias_offset=_BEFORE)
        tensors |= {buffer.id: buffer, view.id: view}
        next_id += 2
        params = CopyParams(source.nbytes)
        starts[copy.first] = Step.of("dma", step.layer, DmaStart(params, source.id, view.id), step.name)
        waits[copy.reader] = Step.of("dma", step.layer, DmaWait(params, view.id), step.name)
        names[copy.reader] = {source.id: view.id}
    before = {
        index: [calls[index] for calls in (waits, starts) if index in calls] for index in {*waits, *starts}
    }
    return replace(plan, tensors=tensors, steps=inserted(plan.steps, before, names))


def inserted(
    steps: Sequence[Step], before: Mapping[int, Sequence[Step]], names: Mapping[int, Mapping[int, int]]
) -> tuple[Step, ...]:
    """Steps with others `before` some of them, by their numbers, which then read tensors of other `names`."""
    made: list[Step] = []
    for index, step in enumerate(steps):
        made += before.get(index, ())
        made.append(step.renamed(names[index]) if index in names else step)
    return tuple(made)
