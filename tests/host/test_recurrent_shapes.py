"""Shapes of recurrent layers without their steps: those of the real layers, whatever the length."""

import itertools
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import FakeTensorMode

from mcu_build.frontend.capture import capture
from mcu_build.frontend.model_file import load
from mcu_build.frontend.quantize import quantize
from mcu_build.frontend.quantize_npu import quantize_for_npu
from mcu_build.lower.cortex_m import lower
from mcu_build.lower.rewrite.recurrent_shapes import LAYERS, recurrent_shapes, results_of_layer

aten = torch.ops.aten


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_shapes_are_those_of_the_real_layer(layer) -> None:
    for layers, directions, batch_first, projected in itertools.product(
        (1, 2), (1, 2), (False, True), (0, 3)
    ):
        if projected and layer is not aten.lstm.input:
            continue
        sizes = {"num_layers": layers, "bidirectional": directions == 2, "batch_first": batch_first}
        kind = {aten.lstm.input: nn.LSTM, aten.gru.input: nn.GRU}.get(layer, nn.RNN)
        module = kind(4, 6, **sizes, **({"proj_size": projected} if projected else {}))
        states = [torch.randn(layers * directions, 2, projected or 6)]
        if layer is aten.lstm.input:
            states.append(torch.randn(layers * directions, 2, 6))
        x = torch.randn((2, 7, 4) if batch_first else (7, 2, 4))
        given = (states if len(states) > 1 else states[0], list(module.parameters()))
        rest = (True, layers, 0.0, False, directions == 2, batch_first)
        with torch.no_grad():
            wanted = [result.shape for result in layer(x, *given, *rest)]
        assert [result.shape for result in results_of_layer(x, *given, *rest)] == wanted


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The operators that run on fake tensors, in turn."""
    found: list[object] = []
    usual = FakeTensorMode.dispatch

    def dispatch(mode, func, types, args=(), kwargs=None):
        found.append(func)
        return usual(mode, func, types, args, kwargs or {})

    monkeypatch.setattr(FakeTensorMode, "dispatch", dispatch)
    return found


def test_fake_steps_are_not_computed_and_real_ones_are(faked: list[object]) -> None:
    layer, x = nn.GRU(4, 6), torch.randn(50, 1, 4)
    wanted = layer(x)[0]
    fake = FakeTensorMode(allow_non_fake_inputs=True).from_tensor(x)
    assert layer(fake)[0].shape == wanted.shape
    assert len(faked) > 50
    faked.clear()
    with recurrent_shapes(), torch.no_grad(), enable_python_dispatcher():
        torch.testing.assert_close(layer(x)[0], wanted, rtol=0, atol=0)
        assert faked == []
        assert layer(fake)[0].shape == wanted.shape
    assert len(faked) < 10


MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.GRU(3, 4, 2, batch_first=True, bidirectional=True)
        self.second = nn.LSTM(8, 4, batch_first=True)

    def forward(self, x):
        return self.second(self.first(x)[0])[0][:, -1]

torch.manual_seed(0)
model = Net()
example_inputs = (torch.randn(1, {steps}, 3),)
"""


@pytest.mark.parametrize("npu", ["", "ethos-u55"])
def test_a_thousand_steps_are_traced_like_ten(npu: str, faked: list[object], tmp_path: Path) -> None:
    """From the model file to the program, or to what is left to the core beside an NPU, as many operators
    run on fake tensors.
    """
    traced = []
    for steps in (10, 1000):
        file = tmp_path / f"of_{steps}.py"
        file.write_text(MODEL.format(steps=steps))
        faked.clear()
        data = [(torch.randn(1, steps, 3),)]
        if npu:
            quantize_for_npu(capture(load(file)), data, npu)
        else:
            lower(quantize(capture(load(file)), data), "host")
        traced.append(len(faked))
    # What torch keeps from the first time it need not do again.
    assert 0.8 < traced[1] / traced[0] < 1.2
