"""Biases take up what rounding moves the mean of a channel by, where outputs gain by it."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
from torch import nn

from mcu_build.frontend import quantize
from mcu_build.frontend.biases import FEWEST_CALLS
from mcu_build.quality.sqnr import sqnr_db

Inputs = tuple[torch.Tensor, ...]


class Net(nn.Module):
    """Positive inputs, and few weights for each channel: their rounding does not average out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.conv(x)).mean((2, 3)))


@pytest.fixture(scope="module")
def net() -> torch.export.ExportedProgram:
    torch.manual_seed(0)
    model = Net().eval()
    with torch.no_grad():
        model.conv.weight[:, 0, 0, 0] = 2.0  # a large weight leaves few steps for the others
    return torch.export.export(model, (torch.zeros(1, 3, 8, 8),), strict=False)


def calls(count: int, seed: int = 1) -> list[Inputs]:
    dice = torch.Generator().manual_seed(seed)
    return [(0.5 + torch.rand((1, 3, 8, 8), generator=dice),) for _ in range(count)]


def quantized(
    net: torch.export.ExportedProgram, count: int, examples: Callable[[], Iterable[Inputs]] = tuple
) -> torch.fx.GraphModule:
    return quantize.convert(net, calls(count), examples)[0]


def decibels(net: torch.export.ExportedProgram, module: torch.fx.GraphModule) -> float:
    others = calls(40, 2)
    rows = [[made(*call).detach().numpy() for call in others] for made in (net.module(), module)]
    return sqnr_db(*(np.stack(row) for row in rows))


def constants(module: torch.fx.GraphModule) -> list[torch.Tensor]:
    return [buffer for _, buffer in sorted(module.named_buffers()) if buffer.dtype is torch.int32]


def test_outputs_gain(net: torch.export.ExportedProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    corrected = quantized(net, 4 * FEWEST_CALLS)
    monkeypatch.setattr(quantize, "float_model", lambda prepared, calls: None)
    plain = quantized(net, 4 * FEWEST_CALLS)
    assert decibels(net, corrected) > decibels(net, plain) + 1
    assert any((a != b).any() for a, b in zip(constants(corrected), constants(plain), strict=True))


def test_few_calls_change_nothing(net: torch.export.ExportedProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    found = quantized(net, 2 * FEWEST_CALLS - 1)
    monkeypatch.setattr(quantize, "float_model", lambda prepared, calls: None)
    plain = quantized(net, 2 * FEWEST_CALLS - 1)
    assert all((a == b).all() for a, b in zip(constants(found), constants(plain), strict=True))


def test_ranges_are_those_of_calibration_alone(net: torch.export.ExportedProgram) -> None:
    def scales(module: torch.fx.GraphModule) -> list[object]:
        quantizes = [node for node in module.graph.nodes if "quantize_per_tensor" in str(node.target)]
        return [node.args[1:3] for node in quantizes]

    wide = [(100 * tensor,) for (tensor,) in calls(2)]
    assert scales(quantized(net, 4, lambda: wide)) == scales(quantized(net, 4))
