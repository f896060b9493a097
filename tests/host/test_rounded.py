"""Models whose weights torchao's `quantize_` has rounded: kept to the bit, or named."""

from pathlib import Path

import pytest
import torch

from mcu_build.errors import McuError
from mcu_build.frontend import session
from mcu_build.frontend.captured import capture_file
from mcu_build.frontend.model_file import load
from mcu_build.frontend.quantize import quantize_layers

NET = """
import torch
from torch import nn
from torchao.quantization import quantize_
{imports}

torch.manual_seed(1)
model = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4)).eval()
example_inputs = (torch.zeros(1, 32),)
calibration = [(torch.randn(1, 32),) for _ in range(4)]
with torch.no_grad():
    for layer in model[::2]:
        layer.weight.mul_(torch.linspace(0.02, 2, len(layer.weight))[:, None])  # unlike rows
{body}
"""
DYNAMIC = (
    "from torchao.quantization import Int8DynamicActivationInt8WeightConfig as Config",
    "quantize_(model, Config(), lambda one, name: isinstance(one, nn.Linear) and name != '4')",
)
GROUPS = (
    "from torchao.quantization import Int8DynamicActivationIntxWeightConfig as Config\n"
    "from torchao.quantization.granularity import PerGroup",
    "quantize_(model[0], Config(weight_dtype=torch.int4, weight_granularity=PerGroup(16)))",
)
TRAINED = (
    "from torchao.quantization import Int8DynamicActivationIntxWeightConfig as Config\n"
    "from torchao.quantization.qat import QATConfig",
    "base = Config(weight_dtype=torch.int4)\n"
    'quantize_(model, QATConfig(base, step="prepare"), lambda one, name: name == "0")',
)
EAGER = ("", "model = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)")


def written(folder: Path, parts: tuple[str, str]) -> Path:
    file = folder / "net.py"
    file.write_text(NET.format(imports=parts[0], body=parts[1]))
    return file


def quantized(file: Path) -> tuple[list[torch.Tensor], list[str]]:
    """The int8 weights of the quantized program, and the warnings."""
    captured = capture_file(file)
    program = quantize_layers(captured.exported, list(session.calibration_calls(captured))).program
    held = [*program.state_dict.values(), *program.constants.values()]
    return [
        one for one in held if isinstance(one, torch.Tensor) and one.dtype is torch.int8
    ], captured.warnings


def test_int8_rows_are_kept_to_the_bit(tmp_path):
    file = written(tmp_path, DYNAMIC)
    scope: dict = {}
    torch.manual_seed(0)
    exec(file.read_text(), scope)
    authors = [scope["model"][index].weight.qdata for index in (0, 2)]
    found, warnings = quantized(file)
    for weight in authors:
        assert any(
            torch.equal(one.reshape(weight.shape), weight) for one in found if one.numel() == weight.numel()
        )
    assert len(warnings) == 1 and warnings[0].endswith("fixed ranges, from calibration: 0, 2.")
    # Without the marker they are rounded anew, to other integers.
    file.write_text(
        file.read_text() + "for layer in model[:3:2]:\n"
        "    layer.weight = nn.Parameter(layer.weight.dequantize())\n"
    )
    again, warnings = quantized(file)
    assert warnings == []
    assert not all(
        any(torch.equal(one.reshape(weight.shape), weight) for one in again if one.numel() == weight.numel())
        for weight in authors
    )


def test_groups_are_rounded_anew_and_named(tmp_path):
    model = load(written(tmp_path, GROUPS))
    assert "0.weight (int4 in blocks of 1x16)" in model.warnings[0]
    assert type(model.model[0].weight) is torch.nn.Parameter


@pytest.mark.parametrize(
    ("parts", "what", "hint"),
    [
        (EAGER, "0: Linear of PyTorch's eager quantization cannot be captured", "Give the float model"),
        (TRAINED, "0: FakeQuantizedLinear: torchao's training is not converted", "Convert it"),
    ],
)
def test_what_cannot_be_kept_is_named(parts, what, hint, tmp_path):
    with pytest.raises(McuError, match=what) as caught:
        load(written(tmp_path, parts))
    assert hint in caught.value.hint


def test_saved_programs_name_what_is_rounded_anew(tmp_path):
    from torchao.quantization import Int8WeightOnlyConfig, IntxWeightOnlyConfig, quantize_
    from torchao.quantization.granularity import PerGroup

    net = torch.nn.Sequential(torch.nn.Linear(32, 8), torch.nn.Linear(8, 4), torch.nn.Linear(4, 4)).eval()
    groups = IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(16))
    quantize_(net[0], groups)
    quantize_(net[1], Int8WeightOnlyConfig())
    example, file = (torch.randn(1, 32),), tmp_path / "net.pt2"
    torch.export.save(torch.export.export(net, example), file)
    captured = capture_file(file)
    assert "rounded 0.weight, 1.weight: rounded anew" in captured.warnings[1]
    found = captured.exported.module(check_guards=False)(*example)
    assert torch.allclose(found, net(*example), atol=1e-5)
    torch.export.save(torch.export.export(net[2], (torch.randn(1, 4),)), file)
    assert len(capture_file(file).warnings) == 1
