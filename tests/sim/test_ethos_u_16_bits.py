"""Activations of 16 bits on the NPU, weights of 8: asked for by the model file, exact to the bit."""

from pathlib import Path

import pytest

from mcu_build.ir.plan import DType
from tests.support.cli import mcu_build

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "tests" / "models"


def wide(folder: Path, name: str) -> Path:
    """A model of ours, with activations of 16 bits."""
    file = folder / f"{name}.py"
    source = (MODELS / f"{name}.py").read_text()
    file.write_text(f"import sys\nsys.path.append({str(MODELS)!r})\n{source}\nactivation_bits = 16\n")
    return file


def prove(model: Path, npu: str, board: str = "corstone-300") -> dict:
    words = ("test", "--board", board, "--npu", npu, model, "--vectors", 4, "--json")
    result = mcu_build(*words, "--build-dir", model.parent)
    assert result.status == 0, result.out + result.err
    proof = result.json
    assert proof["outputs_vary"] and proof["npu"]["interrupts"] >= 4
    assert proof["mismatches"] == proof["differing"] == 0
    return proof


def test_half_on_the_npu(tmp_path: Path) -> None:
    """What the NPU rejects is computed by the core in 16 bits, too."""
    model = wide(tmp_path, "half_on_npu")
    proof = prove(model, "ethos-u55-128")
    assert proof["float_operators"] == []


ATTENTION = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.before, self.after = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)
    def forward(self, x):
        q, k, v = self.before(self.norm(x)).chunk(3, -1)
        return x + self.after(nn.functional.scaled_dot_product_attention(q, k, v))

torch.manual_seed(0)
model = Block()
example_inputs = (torch.randn(1, 6, 8),)
calibration = [(torch.randn(1, 6, 8),) for _ in range(8)]
evaluation = [(x, None) for x in calibration]
activation_bits = 16
"""


@pytest.mark.slow
def test_products_of_attention_run_on_the_core(tmp_path: Path) -> None:
    model = tmp_path / "attention.py"
    model.write_text(ATTENTION)
    proof = prove(model, "ethos-u55-128")
    assert proof["float_operators"] == []
    assert proof["quality"][0]["sqnr_db"] > 45


def test_a_core_alone_has_16_bits_too(tmp_path: Path) -> None:
    model = tmp_path / "tiny.py"
    model.write_text(
        "import torch\nmodel = torch.nn.Linear(4, 2)\n"
        "example_inputs = (torch.zeros(1, 4),)\nactivation_bits = 16\n"
    )
    words = ("test", "--board", "host", model, "--build-dir", tmp_path, "--io", "int8", "--json")
    found = mcu_build(*words)
    assert found.status == 0, found.err
    assert found.json["mismatches"] == found.json["differing"] == 0
    built = mcu_build("build", *words[1:]).json
    assert {port["dtype"] for port in built["inputs"]} == {DType.I16.numpy_name}
    assert [row["where"] for row in built["operators"]] == ["int16"]


MIXED = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
    def forward(self, x):
        y = torch.relu(self.a(x))
        return self.c(torch.relu(self.b(y)) + y)

torch.manual_seed(0)
model = Net()
example_inputs = (torch.randn(1, 4, 6, 6),)
calibration = [(torch.randn(1, 4, 6, 6),) for _ in range(8)]
precision = {"b": "int16"}
"""


@pytest.mark.slow
def test_a_layer_of_16_bits_runs_on_the_core_beside_the_npu(tmp_path: Path) -> None:
    model = tmp_path / "mixed.py"
    model.write_text(MIXED)
    prove(model, "ethos-u55-128")
    words = ("build", "--board", "corstone-300", "--npu", "ethos-u55-128", model, "--build-dir", tmp_path)
    rows = mcu_build(*words, "--json").json["operators"]
    assert [row["where"] for row in rows if "conv2d" in row["operator"]] == ["int16"]
    assert {"npu", "int16"} <= {row["where"] for row in rows}


@pytest.mark.slow
def test_boundaries_of_16_bits(tmp_path: Path) -> None:
    model = wide(tmp_path, "half_on_npu")
    words = ("build", "--board", "corstone-300", "--npu", "ethos-u55-128", model, "--build-dir", tmp_path)
    built = mcu_build(*words, "--io", "int8", "--json")
    assert built.status == 0, built.err
    assert {port["dtype"] for port in built.json["inputs"]} == {DType.I16.numpy_name}


@pytest.mark.slow
@pytest.mark.parametrize("npu", ["ethos-u55-256", "ethos-u65-512"])
@pytest.mark.parametrize("name", ["ds_cnn", "resnet8", "mobilenet_v2_035", "two_in_two_out"])
def test_models(tmp_path: Path, name: str, npu: str) -> None:
    prove(wide(tmp_path, name), npu)
