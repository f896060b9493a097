"""Which samples of a tensor a step has, and what an operator reads of them.

A program over a recording of `steps * hop` samples becomes one that is called `steps` times. Each tensor with
an axis of time has a hop and a delay of its own: step n gives its samples

    [n * hop - delay, (n + 1) * hop - delay)

A convolution of kernel k, dilation d, stride s and p samples of padding in front reads samples j * s - p to
j * s - p + (k - 1) * d for its sample j. The smallest delay for which step n has them all is

    ceil((delay + (k - 1) * d - p - (s - 1)) / s)

A delay below zero means samples known before the first step: padding in front. Samples of an index below zero
come out of a program with a delay before its first sample, and mean nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, gcd
from typing import Any

from torch.fx import Node

from mcu_build.errors import McuError
from mcu_build.lower.assigned import operator_name, origin_near
from mcu_build.lower.builder import shape
from mcu_build.lower.lines import source_line


@dataclass(frozen=True)
class Timeline:
    """A tensor with time along `axis`: `length` samples in the whole recording, `hop` in a step.

    The axis may hold `rows` of so many samples one behind the other, as where channels and time are flattened
    to one dimension: no samples are kept of it, but what computes along other dimensions goes on. Samples
    before the first step are known; with `repeats` they are all like the first one that comes.
    """

    axis: int
    hop: int
    delay: int
    length: int
    rows: int = 1
    repeats: bool = False

    def __post_init__(self) -> None:
        assert self.hop > 0 and self.length > 0


class Last:
    """A tensor without time that is made of the recording: right after the last step."""


LAST = Last()
# None is what does not depend on the recording at all.
Time = Timeline | Last | None


@dataclass(frozen=True)
class Reading:
    """The samples that an operator reads beside those of the step: `past` more before them, the `drop` newest
    not. What is before the first sample reads as `fill`. Of these, the first and each that is `every` samples
    behind it.
    """

    past: int
    drop: int = 0
    fill: float = 0.0
    every: int = 1

    @property
    def is_plain(self) -> bool:
        """Whether it reads what the step gives."""
        return self.past == 0 and self.drop == 0


@dataclass(frozen=True)
class Rewrite:
    """What becomes of an operator: its result, its arguments in a step, and what it reads of its operands.

    `zeroed` are operands whose samples before the first have to be zero; `target` another operator to take.
    With `neutral` it accumulates over time: its last result goes on, which before the first sample is that.
    """

    out: Time
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    readings: Mapping[Node, Reading]
    zeroed: tuple[Node, ...] = ()
    target: Any = None
    neutral: float | None = None

    def reading(self, node: Node, reading: Reading) -> "Rewrite":
        """The same, with a reading of one operand."""
        return replace(self, readings={**self.readings, node: reading})


class LongerHopError(Exception):
    """A step needs a hop that is a multiple of `factor` times the one that was tried."""

    def __init__(self, factor: int) -> None:
        super().__init__(factor)
        self.factor = factor


@dataclass(frozen=True)
class Ahead:
    """A layer that needs samples that come later, in samples of the input; None for all of the recording."""

    operator: str
    layer: str
    samples: int | None

    def __str__(self) -> str:
        count = "1 sample" if self.samples == 1 else f"{self.samples} samples"
        much = "the whole recording" if self.samples is None else f"{count} of the input"
        return f"{self.layer}: {self.operator}: looks {much} ahead"


@dataclass(frozen=True)
class Recording:
    """The input that is streamed: its samples, those of a step, and how many steps it has."""

    length: int
    hop: int

    @property
    def steps(self) -> int:
        """Whole steps; samples after them are left out."""
        return self.length // self.hop


@dataclass(frozen=True)
class Site:
    """An operator of the whole program, with the times of what is before it."""

    node: Node
    times: Mapping[Node, Time]
    recording: Recording

    def time(self, operand: Any) -> Time:
        """The time of an operand; anything but a node has none."""
        return self.times.get(operand) if isinstance(operand, Node) else None

    @property
    def timelines(self) -> dict[Node, Timeline]:
        """The operands with time."""
        timelines = {node: self.times.get(node) for node in self.node.all_input_nodes}
        return {node: time for node, time in timelines.items() if isinstance(time, Timeline)}

    @property
    def only(self) -> tuple[Node, Timeline]:
        """The one operand with time. McuError where there are several, or where time has rows."""
        operand, time = self.only_rows
        if time.rows > 1:
            raise self.refusal(
                "time and what is before it were joined to one dimension", "Have time first: transpose(1, 2)."
            )
        return operand, time

    @property
    def only_rows(self) -> tuple[Node, Timeline]:
        """The one operand with time, which may have rows. McuError where there are several."""
        timelines = self.timelines
        if len(timelines) != 1 or any(isinstance(self.times.get(n), Last) for n in self.node.all_input_nodes):
            raise self.refusal("it mixes several tensors over time")
        return next(iter(timelines.items()))

    def argument(self, index: int, name: str, default: Any) -> Any:
        """An argument by position or name."""
        args = self.node.args
        return args[index] if len(args) > index else self.node.kwargs.get(name, default)

    def rewrite(self, out: Time, args: tuple[Any, ...] | None = None) -> Rewrite:
        """The operator with other arguments, or its own, reading what the step gives."""
        arguments = self.node.args if args is None else args
        return Rewrite(out, tuple(arguments), dict(self.node.kwargs), {})

    def window(self, operand: Node, args: tuple[Any, ...] | None = None) -> Rewrite:
        """The operator over all samples of `operand`: there is one result, after the last step."""
        time = self.times[operand]
        assert isinstance(time, Timeline)
        drop = self.recording.steps * time.hop - time.delay - time.length
        if drop < 0 and self.recording.length % self.recording.hop:
            raise self.refusal(
                f"it needs all samples, and {self.recording.length} are no multiple of a step's "
                f"{self.recording.hop}",
                f"Have recordings (example_inputs) of a multiple of {self.recording.hop} samples.",
            )
        if drop < 0:
            raise self.refusal(
                f"it needs all samples, of which the last {-drop} are padding behind the recording",
                "Pad in front only (causal convolutions, F.pad(x, (k - 1, 0))), or not at all.",
            )
        return self.rewrite(LAST, args).reading(operand, Reading(time.length + drop - time.hop, drop))

    def multiple(self, time: Timeline, count: int) -> None:
        """Have the hop of a tensor be a multiple of `count`."""
        if time.hop % count:
            raise LongerHopError(count // gcd(time.hop, count))

    @property
    def place(self) -> str:
        """The operator with its line and layer."""
        made_from = origin_near(self.node)
        line = made_from.where if made_from else source_line(self.node) or "the model"
        return f"{line}: {operator(self.node)}"

    def refusal(self, why: str, hint: str = "") -> McuError:
        """Why the operator has no form step by step."""
        return McuError(f"stream: {self.place}: {why}", hint or HINT)

    def whole(self) -> McuError:
        """The refusal of what needs the whole recording before its first sample."""
        return self.refusal("it looks the whole recording ahead", HINT)


HINT = (
    "What mixes all of time (attention, normalization over time, a second direction) has no steps: build "
    "the model without `stream`, or train it with layers that look back only."
)


def operator(node: Node) -> str:
    """The operator as the user knows it."""
    made_from = origin_near(node)
    return made_from.operator if made_from and made_from.operator else operator_name(node)


def step_shape(node: Node, time: Timeline) -> list[int]:
    """The shape of a step of a tensor."""
    sizes = list(shape(node))
    sizes[time.axis] = time.rows * time.hop
    return sizes


def ahead(time: Timeline, recording: Recording) -> int:
    """How many samples of the input late a tensor is complete; 0 where it is causal."""
    rate = Fraction(time.hop, recording.hop)
    late = time.delay + time.length - recording.length * rate
    return ceil(late // 1 / rate) if late >= 1 else 0


Rule = Callable[[Site], Rewrite]
