"""Weights of 4 bits from `precision` to firmware: which layers have them, what they cost, what they lose."""

from pathlib import Path

import pytest

from mcu_build.errors import Exit
from tests.support.cli import mcu_build

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits" / "int4.py"
MODEL = """
import torch
torch.manual_seed(0)

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 12, 3, padding=1)
        self.pw = torch.nn.Conv2d(12, 64, 1)
        self.bn = torch.nn.BatchNorm2d(64)
        self.strided = torch.nn.Conv2d(64, 40, 1, stride=2)
        self.head = torch.nn.Sequential(torch.nn.Linear(40, 96), torch.nn.ReLU(), torch.nn.Linear(96, 10))

    def forward(self, x):
        x = torch.relu(self.bn(self.pw(torch.relu(self.conv(x)))))
        return self.head(self.strided(x).clamp(-1, 2).mean((2, 3)))

model = Net().eval()
example_inputs = (torch.randn(1, 3, 8, 8),)
# Too few for biases to take up what rounding loses.
calibration = [(torch.randn(1, 3, 8, 8),) for _ in range(15)]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("int4")
    for name, wishes in (("wide", {}), ("narrow", {"*": "int4"}), ("wrong", {"conv": "int4"})):
        (made / f"{name}.py").write_text(f"{MODEL}precision = {wishes}\n")
    return made


def test_layers_that_are_products_of_rows_have_weights_of_4_bits(folder):
    words = ("--board", "host", "--build-dir", folder / "build", "--json")
    narrow = mcu_build("test", folder / "narrow.py", *words)
    assert narrow.status == Exit.OK, narrow.out
    assert narrow.json["mismatches"] == 0
    (quality,) = narrow.json["quality"]
    assert 15 < quality["sqnr_db"] < 32
    built = mcu_build("build", folder / "narrow.py", *words).json
    kernels = {row["name"]: row["kernel"] for row in built["operators"] if row["macs"]}
    fours = {name for name, kernel in kernels.items() if kernel == "linear_w4"}
    assert fours == {"pw", "head.0", "head.2"} and {"conv", "strided"} <= kernels.keys()
    wide = mcu_build("build", folder / "wide.py", *words).json
    saved = wide["flash"]["constants"] - built["flash"]["constants"]
    # Half of the weights, less a multiplier and a shift for each output, and the factors of head.2's groups.
    assert saved > (12 * 64 + 40 * 96 + 96 * 10) / 2 - 8 * (64 + 96 + 10) - 3 * 10


def test_the_table_tells_what_rounded_weights_lose(folder):
    rows = mcu_build("accuracy", folder / "narrow.py", "--json").json["layers"]
    weights = {row["name"]: row["weights_db"] for row in rows if row["weights_db"] is not None}
    assert all(15 < weights[name] < 32 for name in ("pw", "head.0", "head.2"))
    assert all(weights[name] > 35 for name in ("conv", "strided"))


def test_a_key_without_such_a_layer_is_refused(folder):
    result = mcu_build("build", "--board", "host", folder / "wrong.py")
    assert result.status == Exit.INPUT
    assert "precision: 'conv': no linear layer or convolution of 1x1" in result.err


@pytest.mark.slow
def test_the_example_that_is_trained_with_4_bits_gains(tmp_path, monkeypatch):
    found = {}
    for trained in "01":
        monkeypatch.setenv("QAT", trained)
        words = ("--board", "host", EXAMPLE, "--build-dir", tmp_path, "--json")
        found[trained] = mcu_build("test", *words).json["accuracy"]["device"]
    assert found["1"] > found["0"] + 0.02
