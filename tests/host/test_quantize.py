"""Quantization: calibration decides the ranges, and nothing depends on a core or on who reads the graph."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mcu_build.errors import McuError
from mcu_build.frontend.normalize import normalize
from mcu_build.frontend.quantize import convert, quantize
from mcu_build.frontend.store import load_quantized, save
from mcu_build.ir.program import parse
from mcu_build.lower.cortex_m import lower
from mcu_build.lower.upstream.quiet import quiet
from mcu_build.oracle.reference import evaluate
from tests.support.lowering import arrays


class Small(nn.Module):
    """A convolution and a layer that is called twice, over inputs of different ranges."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.conv, self.twice, self.norm = nn.Conv2d(3, 4, 3), nn.Linear(16, 16), nn.LayerNorm(16)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = torch.relu(self.conv(x)).flatten(2)
        return self.twice(y), self.norm(self.twice(8 * y))


def _export(model: nn.Module, *inputs: torch.Tensor) -> torch.export.ExportedProgram:
    with quiet():
        return torch.export.export(model.eval(), inputs)


def _draws(count: int, factor: float = 1.0) -> list[tuple[torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(1, 3, 6, 6, generator=generator) * factor,) for _ in range(count)]


@pytest.fixture(scope="module")
def exported() -> torch.export.ExportedProgram:
    return _export(Small(), torch.zeros(1, 3, 6, 6))


@pytest.fixture(scope="module")
def quantized(exported: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    return quantize(exported, _draws(16))


def test_a_layer_that_is_called_twice_is_right_both_times(
    exported: torch.export.ExportedProgram, quantized: torch.export.ExportedProgram
) -> None:
    # Its bias has the scale of its input, which is eight times larger the second time.
    (x,) = _draws(3)[-1]
    program = parse(lower(quantized, "cortex-m4").pte)
    for ours, real in zip(evaluate(program, [x.numpy()]), arrays(Small().eval()(x)), strict=True):
        assert np.abs(ours - real).max() < 0.05 * np.abs(real).max()


def test_a_norm_that_stays_asks_for_no_patterns_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchao traces 96 of them, five seconds' work, for each graph with a batch norm."""
    from torchao.quantization.pt2e import qat_utils

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a pattern is traced")

    monkeypatch.setattr(qat_utils, "_get_aten_graph_module_for_pattern", refuse)
    exported = _export(nn.BatchNorm1d(3), torch.zeros(1, 3)).run_decompositions({})
    calibration = [(draw.mean((2, 3)),) for (draw,) in _draws(4)]
    names = [str(node.target) for node in quantize(exported, calibration).graph.nodes]
    assert any("batch_norm" in name for name in names)


def test_batch_norm_goes_into_weights_that_are_computed() -> None:
    """A parametrized convolution's weight is a constant of the program, no parameter."""
    torch.manual_seed(5)
    conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3))
    net = nn.Sequential(conv, nn.BatchNorm2d(4)).eval()
    exported = normalize(_export(net, torch.zeros(1, 3, 6, 6)), Path("net.py"))
    program = parse(lower(quantize(exported, _draws(8)), "cortex-m4").pte)
    assert not any("norm" in call.operator or "add" in call.operator for call in program.instructions)
    (x,) = _draws(3)[-1]
    (ours,), (real,) = evaluate(program, [x.numpy()]), arrays(net(x))
    assert np.abs(ours - real).max() < 0.05 * np.abs(real).max()


class PreActivation(nn.Module):
    """What a norm reads is read by a sum as well, and one layer is read through two norms and by itself."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.first, self.again = nn.Conv2d(3, 4, 3), nn.Linear(4, 4)
        self.norm, self.other = nn.BatchNorm2d(4), nn.BatchNorm1d(4)
        for norm in (self.norm, self.other):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        z = (torch.relu(self.norm(y)) + y).mean((2, 3))
        return self.again(self.other(self.again(z))) + z


def test_a_norm_changes_nothing_for_other_readers_of_its_layer() -> None:
    net = PreActivation()
    exported = normalize(_export(net, torch.zeros(1, 3, 6, 6)), Path("net.py"))
    program = parse(lower(quantize(exported, _draws(8)), "cortex-m4").pte)
    (x,) = _draws(3)[-1]
    (ours,), (real,) = evaluate(program, [x.numpy()]), arrays(net(x))
    assert np.abs(ours - real).max() < 0.05 * np.abs(real).max()


class Shared(nn.Module):
    """A convolution without a bias and its norm, called twice, and a linear layer likewise."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.first, self.norm = nn.Conv2d(3, 3, 3, bias=False), nn.BatchNorm2d(3)
        self.last, self.other = nn.Linear(3, 3, bias=False), nn.BatchNorm1d(3)
        for norm in (self.norm, self.other):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.norm(self.first(torch.relu(self.norm(self.first(x))))).mean((2, 3))
        return self.other(self.last(torch.relu(self.other(self.last(z)))))


def test_a_layer_and_its_norm_may_be_shared() -> None:
    net = Shared().eval()
    exported = normalize(_export(net, torch.zeros(1, 3, 6, 6)), Path("net.py"))
    converted, _ = convert(exported, _draws(8))
    assert not any("batch_norm" in str(node.target) for node in converted.graph.nodes)
    (x,) = _draws(3)[-1]
    with torch.no_grad():
        torch.testing.assert_close(converted(x), net(x), rtol=0.05, atol=0.05)


def test_the_file_of_a_quantized_program_lowers_to_the_same_bytes(
    quantized: torch.export.ExportedProgram, tmp_path: Path
) -> None:
    save(quantized, tmp_path / "quantized.pt2")
    again = load_quantized(tmp_path / "quantized.pt2")
    for core in ("cortex-m4", "cortex-m55"):
        assert lower(again, core).pte == lower(quantized, core).pte


def test_quantizing_again_gives_the_same_program(
    exported: torch.export.ExportedProgram, quantized: torch.export.ExportedProgram
) -> None:
    assert lower(quantize(exported, _draws(16)), "host").pte == lower(quantized, "host").pte


def test_calibration_decides_the_range(exported: torch.export.ExportedProgram) -> None:
    scales = []
    for factor in (1.0, 4.0):
        (boundary,) = lower(quantize(exported, _draws(8, factor)), "cortex-m4", "int8").inputs
        assert boundary is not None
        scales.append(boundary.scale)
    assert 3.5 < scales[1] / scales[0] < 4.5


def test_calibration_that_holds_nothing_is_refused(exported: torch.export.ExportedProgram) -> None:
    with pytest.raises(McuError, match="calibration: it holds no item"):
        quantize(exported, [])


def test_calibration_that_does_not_fit_is_named(exported: torch.export.ExportedProgram) -> None:
    with pytest.raises(McuError, match="calibration: item 1: "):
        quantize(exported, [*_draws(1), (torch.zeros(1, 5, 6, 6),)])
    with pytest.raises(McuError, match="calibration: item 0: "):
        quantize(exported, [(torch.zeros(1, 3, 6, 6), torch.zeros(1))])


def test_upstream_keeps_quiet(
    exported: torch.export.ExportedProgram, capfd: pytest.CaptureFixture[str]
) -> None:
    lower(quantize(exported, _draws(1)), "cortex-m4")
    assert capfd.readouterr() == ("", "")
