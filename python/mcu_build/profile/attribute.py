"""Spans of executed instructions → start-up, harness, and the steps of inferences: each in one of them.

A model's run() is a straight line of calls, one for each step of the plan. Each of its instructions begins a
span, so one that leaves run() is a call with everything below it, and the others prepare the next call.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mcu_build.errors import McuError
from mcu_build.simulate.plugin import Boundaries, Span

Counts = Counter[int]  # instructions by address


@dataclass
class Step:
    """What one step of the plan executed, and the cycles that its reads waited for memories; by address."""

    counts: Counts = field(default_factory=Counts)
    waits: Counts = field(default_factory=Counts)


@dataclass(frozen=True)
class Phases:
    """A whole run: from reset to main, the harness around the model, and the spans of each inference."""

    startup: Counts
    harness: Counts
    inferences: tuple[tuple[Span, ...], ...]


def phases(spans: Iterable[Span], run: Boundaries, main: int) -> Phases:
    """Tell start-up, harness and inferences apart.

    `run` is the range of run(), and the place where it returns to; `main` is the address of main().
    """
    startup, harness = Counts(), Counts()
    inferences: list[list[Span]] = []
    reached_main = False
    for span in spans:
        reached_main = reached_main or span.boundary == main
        if run.start <= span.boundary < run.end:
            if span.boundary == run.start:
                inferences.append([])
            inferences[-1].append(span)
        else:
            (harness if reached_main else startup).update(span.counts)
    return Phases(startup, harness, tuple(tuple(inference) for inference in inferences))


def steps(inference: Sequence[Span], entries: Sequence[frozenset[int]]) -> tuple[Step, ...]:
    """The instructions of each step; they add up to the inference.

    `entries` are, for each step, the addresses at which its kernel may begin. What run() does before a call
    belongs to the step of that call, and what it does after the last to the last. McuError where the calls
    are not those of the steps.
    """
    result: list[Step] = []
    pending = Step()
    for span in inference:
        pending.counts.update(span.counts)
        pending.waits.update(span.waits)
        if len(result) < len(entries) and not entries[len(result)].isdisjoint(span.counts):
            result.append(pending)
            pending = Step()
    if len(result) < len(entries) or not result:
        raise McuError(
            f"run() called {len(result)} of {len(entries)} kernels of the plan",
            "The image is of another build than the plan, or a kernel was inlined. Build again.",
        )
    result[-1].counts.update(pending.counts)
    result[-1].waits.update(pending.waits)
    return tuple(result)


def layers_of(spans: Sequence[Step], owners: Sequence[int]) -> tuple[Step, ...]:
    """The steps of each layer together; `owners` says for each step which layer it is a part of."""
    layers = [Step() for _ in range(max(owners) + 1)]
    for step, owner in zip(spans, owners, strict=True):
        layers[owner].counts.update(step.counts)
        layers[owner].waits.update(step.waits)
    return tuple(layers)
