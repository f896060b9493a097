"""State that adds up or decays stays in float, and everything else of a model is int8."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mcu_build.frontend import precision
from mcu_build.frontend.accumulators import accumulating
from mcu_build.frontend.quantize import quantize, ruined_by_int8
from mcu_build.frontend.state import Stepper, lift_state, with_state
from mcu_build.lower.assigned import why_in_float

Update = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
STEPS = 160


class Keeps(nn.Module):
    """A layer, a state of eight that `update(state, layer's output)` renews, and a layer that reads it."""

    def __init__(self, update: Update) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.update, self.first, self.last = update, nn.Linear(4, 8), nn.Linear(8, 2)
        self.cell = nn.Linear(8, 8)
        self.register_buffer("state", torch.zeros(1, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.state.copy_(self.update(self.state, torch.relu(self.first(x))))
        return self.last(self.state)


def lifted(update: Update) -> tuple[torch.export.ExportedProgram, tuple[torch.Tensor, ...]]:
    with torch.no_grad():
        exported = torch.export.export(Keeps(update).eval(), (torch.zeros(1, 4),), strict=False)
        return lift_state(exported.run_decompositions({}))


ADDS: dict[str, tuple[Update, list[str]]] = {
    "running mean": (lambda s, y: s * 0.99 + y * 0.01, ["add", "mul"]),
    "moved by a part of the difference": (lambda s, y: s + 0.02 * (y - s), ["add", "mul", "sub"]),
    "in place": (lambda s, y: s.clone().mul_(0.9).add_(y), ["add", "mul"]),
    "lerp": (lambda s, y: torch.lerp(s, y, 0.02), ["lerp"]),
    "decaying maximum": (lambda s, y: torch.max(s * 0.998, y), ["max", "mul"]),
    "spikes": (lambda s, y: torch.where(s + y > 1, 0.0, 0.9 * s + y), ["add", "mul", "where"]),
    "a part of it": (lambda s, y: torch.cat([s[:, :4] + y[:, :4], y[:, 4:]], 1), ["add", "cat", "slice"]),
}
MOVES: dict[str, Update] = {
    "ring": lambda s, y: torch.cat([s[:, 2:], y[:, :2]], 1),
    "maximum": lambda s, y: torch.maximum(s, y),
    "chosen": lambda s, y: torch.where(y > 0.5, y, s),
    "saturating cell": lambda s, y: torch.tanh(s * 0.9 + y),
    "replaced": lambda s, y: y * 0.5,
}


def in_float(update: Update, wishes: dict[str, str], usual: str = "int8") -> list[str]:
    program, _ = lifted(update)
    precision.apply(program, wishes, Path("model.py"), usual)
    found = {node.target._schema.name for node in program.graph.nodes if why_in_float(node)}
    return sorted({name.removeprefix("aten::").strip("_") for name in found} - {"copy", "clone"})


@pytest.mark.parametrize("name", ADDS)
def test_what_adds_up_is_float(name: str) -> None:
    update, operators = ADDS[name]
    assert in_float(update, {}) == operators


def test_int8_can_be_asked_for_and_int16_is_enough() -> None:
    update, _ = ADDS["running mean"]
    assert in_float(update, {"*": "int8"}) == []
    assert in_float(update, {}, usual="int16") == []


@pytest.mark.parametrize("name", MOVES)
def test_what_is_moved_or_chosen_is_not(name: str) -> None:
    assert in_float(MOVES[name], {}) == []


def states(stepper: Stepper, sequence: list[tuple[torch.Tensor, ...]]) -> np.ndarray:
    """The state after each call, [calls, 8]."""
    rows = []
    for inputs in sequence:
        stepper.advance(inputs)
        rows.append(stepper.state[0].numpy().ravel())
    return np.stack(rows)


@pytest.mark.parametrize("name", ["moved by a part of the difference", "decaying maximum"])
def test_nothing_sticks(name: str) -> None:
    """Loud, then quiet: int8 that is asked for (the control) stays where rounding leaves it."""
    dice = torch.Generator().manual_seed(1)
    loud = torch.tensor([2.0, 0.3]).repeat_interleave(STEPS // 2)
    inputs = [(one[None],) for one in loud[:, None] * torch.randn(STEPS, 4, generator=dice)]
    quality = []
    for wishes in ({}, {"*": "int8"}):
        program, initial = lifted(ADDS[name][0])
        exact = Stepper(program.module(check_guards=False), initial)
        wanted = states(exact, inputs)
        exact.reset()
        precision.apply(program, wishes, Path("model.py"))
        made = quantize(program, with_state([inputs], exact))
        found = states(Stepper(made.module(check_guards=False), initial), inputs)
        noise = np.square(found - wanted)[STEPS // 2 :].sum()
        quality.append(10 * np.log10(np.square(wanted)[STEPS // 2 :].sum() / noise))
    assert quality[0] > 30
    assert quality[1] < quality[0] - 10


class Means(nn.Module):
    def forward(self, x: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        total = x.cumsum(1)
        return total / torch.arange(1, 9) + total * gate + 2.0 * x


def test_the_division_of_a_cumulative_sum_by_constants_stays_in_float() -> None:
    """Not what an input scales, nor what adds nothing up."""
    exported = torch.export.export(Means(), (torch.ones(1, 8), torch.ones(1, 8)))
    assert [str(node.target) for node in accumulating(exported)] == ["aten.div.Tensor"]


class Biquad(nn.Module):
    """A filter of the second order: its delays are rows of one buffer, or two buffers."""

    def __init__(self, is_one: bool) -> None:
        super().__init__()
        self.is_one = is_one
        for name in ("first", "second"):
            self.register_buffer(name, torch.zeros(1, 4))
        self.register_buffer("both", torch.zeros(2, 1, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = self.both if self.is_one else (self.first, self.second)
        y = 0.0675 * x + first
        first, second = 0.1349 * x + 1.143 * y + second, 0.0675 * x - 0.4128 * y
        if self.is_one:
            self.both.copy_(torch.stack([first, second]))
        else:
            self.first.copy_(first)
            self.second.copy_(second)
        return y


class Differences(nn.Module):
    """Of what the call before has left: a chain of buffers, in which nothing goes around."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("last", "change"):
            self.register_buffer(name, torch.zeros(1, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        change = x - self.last
        second = change - self.change
        self.last.copy_(x)
        self.change.copy_(change)
        return second


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        (Biquad(True), {"add", "getitem", "mul", "stack", "sub", "unbind"}),
        (Biquad(False), {"add", "mul", "sub"}),
        (Differences(), set()),
    ],
)
def test_a_filter_over_several_calls_is_float_and_a_chain_is_not(model: nn.Module, kept: set[str]) -> None:
    with torch.no_grad():
        exported = torch.export.export(model.eval(), (torch.zeros(1, 4),), strict=False)
        program, _ = lift_state(exported.run_decompositions({}))
    found = {node.name.rstrip("_0123456789") for node in accumulating(program)}
    assert found - {"copy", "clone"} == kept


@pytest.mark.parametrize(("first", "kept"), [(-1e3, ["maximum"]), (float("-inf"), ["maximum"]), (-0.5, [])])
def test_a_maximum_that_begins_far_away_is_float(first: float, kept: list[str]) -> None:
    program, initial = lifted(lambda s, y: torch.maximum(s, y))
    dice = torch.Generator().manual_seed(1)
    calls = [(torch.randn(1, 4, generator=dice), torch.full_like(initial[0], first)) for _ in range(3)]
    assert [name.split("_")[0] for name in ruined_by_int8(program, calls)] == kept
