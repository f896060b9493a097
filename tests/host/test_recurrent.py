"""Recurrent layers in int8: near the float model, exact in the firmware, of one size whatever the length."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mcu_build.ir.plan import Plan
from mcu_build.plan.compile import compile_program
from tests.host.test_int8_forms import sqnr
from tests.support.cases import run_plans
from tests.support.lowering import Function, Outcome, take

STEPS = 15
BOTH = {"batch_first": True, "bidirectional": True}


def _last(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What a layer makes of a sequence up to its last step."""
    return m.last(m.layer(x)[0][:, -1])


def _final(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The last states of all layers and directions."""
    return m.last(m.layer(x)[1].transpose(0, 1).flatten(1))


def _continued(m: nn.Module, x: torch.Tensor, *states: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """From the states after a call to those after the next."""
    sequence, after = m.layer(x, states if len(states) > 1 else states[0])
    return sequence, *(after if isinstance(after, tuple) else (after,))


def _loop(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A cell called step by step."""
    h = c = x.new_zeros(x.shape[0], 8)
    for step in range(4):
        h, c = m.cell(x[:, step], (h, c))
    return m.last(h)


# The layers' weights are the same whichever tests ran before.
torch.manual_seed(0)
# Name → model, states beside the sequence, least SQNR in dB. Drawn states are far larger than what layers
# make, which has the same scale.
MODELS = {
    "LSTM": (Function(_last, layer=nn.LSTM(6, 9, batch_first=True), last=nn.Linear(9, 4)), (), 35),
    "LSTM, states": (Function(_continued, layer=nn.LSTM(6, 9, 2, **BOTH)), [(4, 2, 9)] * 2, 22),
    "LSTM, cell": (Function(_loop, cell=nn.LSTMCell(6, 8), last=nn.Linear(8, 3)), (), 35),
    "GRU": (Function(lambda m, x: m.layer(x)[0], layer=nn.GRU(6, 9, bias=False)), (), 30),
    "GRU, last states": (Function(_final, layer=nn.GRU(6, 5, 2, **BOTH), last=nn.Linear(20, 4)), (), 30),
    "GRU, states": (Function(_continued, layer=nn.GRU(6, 9, batch_first=True)), [(1, 2, 9)], 22),
    "RNN": (Function(_last, layer=nn.RNN(6, 9, 2, batch_first=True), last=nn.Linear(9, 4)), (), 30),
    "RNN, relu": (Function(lambda m, x: m.layer(x)[0], layer=nn.RNN(6, 9, nonlinearity="relu")), (), 28),
    "LSTM, projected": (
        Function(_last, layer=nn.LSTM(6, 9, proj_size=5, batch_first=True), last=nn.Linear(5, 4)),
        (),
        30,
    ),
    "LSTM, projected states": (
        Function(_continued, layer=nn.LSTM(6, 9, 2, proj_size=5, **BOTH)),
        [(4, 2, 5), (4, 2, 9)],
        16,
    ),
}
_WITH_PIECES = ("LSTM, states", "LSTM, projected states")


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    return {
        name: take(model, (torch.zeros(2, STEPS, 6), *(torch.zeros(shape) for shape in states)))
        for name, (model, states, _) in MODELS.items()
    }


@pytest.mark.parametrize("name", MODELS)
def test_a_layer_is_int8_and_near_float(name: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[name]
    # A cell's state goes in and out as float, in pieces where there are several layers.
    moves = {"aten::slice_copy.Tensor", "aten::cat"} if name in _WITH_PIECES else set()
    assert set(outcome.float_operators) <= moves
    for found, wanted in zip(outcome.evaluated, outcome.in_float, strict=True):
        assert sqnr(found, wanted) > MODELS[name][2]
        assert sqnr(np.flip(found), wanted) < 15


def test_the_firmware_is_the_reference(tmp_path: Path, outcomes: dict[str, Outcome]) -> None:
    plans = [compile_program(one.program, f"m{index}") for index, one in enumerate(outcomes.values())]
    inputs = [array for one in outcomes.values() for array in one.inputs]
    wanted = b"".join(array.tobytes() for one in outcomes.values() for array in one.evaluated)
    assert run_plans(plans, inputs, tmp_path) == wanted


def planned(model: nn.Module, steps: int) -> Plan:
    outcome = take(model, (torch.zeros(steps, 1, 5),), items=2)
    assert outcome.float_operators == []
    return compile_program(outcome.program, "m")


def constants(plan: Plan) -> int:
    return sum(tensor.nbytes for tensor in plan.tensors.values() if tensor.is_constant)


@pytest.mark.parametrize("many", [50, pytest.param(1000, marks=pytest.mark.slow)])
def test_many_steps_are_built_like_ten(many: int) -> None:
    short, long = (planned(nn.GRU(5, 8), steps) for steps in (10, many))
    assert [step.kernel for step in short.steps] == [step.kernel for step in long.steps]
    assert constants(short) == constants(long)
    assert sum(step.macs for step in long.steps) == many // 10 * sum(step.macs for step in short.steps)
    # What is kept beside the sequences does not depend on their length.
    scratch = [[t.nbytes for t in plan.tensors.values() if t.name == "scratch"] for plan in (short, long)]
    assert len(scratch[0]) == 1
    assert scratch[0] == scratch[1]


def test_cells_in_a_loop_share_their_weights() -> None:
    def loop(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        h = x.new_zeros(1, 8)
        for step in range(3):
            h = m.cell(x[step], h)
        return h

    plan = planned(Function(loop, cell=nn.GRUCell(5, 8)), 3)
    calls = [step for step in plan.steps if step.kernel == "gru_s8"]
    assert len(calls) == 3
    assert len({step.arguments[3:5] for step in calls}) == 1
