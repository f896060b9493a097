"""A plan as data on simulated cores: what compiled calls compute, for hardly more instructions."""

from pathlib import Path

import pytest

from mcu_build.api import Firmware, build
from mcu_build.choices import Runtime
from mcu_build.codegen import table_model
from mcu_build.codegen.kernel_set import Numbers
from mcu_build.codegen.table import encode, sealed
from mcu_build.errors import McuError
from mcu_build.ir.plan import Plan

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits" / "model.py"
NETS = ROOT / "benchmarks" / "mlperf_tiny" / "models"
# A moving average with a buffer that `forward` writes, which does not begin at zero.
STATE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 3)
        self.register_buffer("mean", torch.ones(1, 4))

    def forward(self, x):
        self.mean.mul_(0.5).add_(x * 0.5)
        return self.head(self.mean)

torch.manual_seed(0)
model = Net()
example_inputs = (torch.randn(1, 4),)
calibration = [[(torch.randn(1, 4),) for _ in range(9)]]
evaluation = [([(torch.randn(1, 4),) for _ in range(5)], None) for _ in range(2)]
"""


def both(model: Path, board: str, folder: Path) -> tuple[Firmware, Firmware]:
    """Firmware with compiled calls, and with a table."""
    ways: tuple[Runtime, ...] = ("static", "table")
    first, second = (
        build(model, board=board, npu="none", io="int8", runtime=way, build_dir=folder) for way in ways
    )
    assert first.folder != second.folder
    return first, second


def overhead(model: Path, board: str, folder: Path) -> float:
    """How many more instructions a table takes than calls; both are proven."""
    calls, table = both(model, board, folder)
    for firmware in (calls, table):
        firmware.test(3)
        assert 0 < firmware.built.manifest.memory["stack_needed"] < 4096
    first, second = calls.profile(), table.profile()
    assert [layer.kernel for layer in first.layers] == [layer.kernel for layer in second.layers]
    return second.total.instructions / first.total.instructions - 1


def test_a_table_computes_what_calls_do(tmp_path: Path) -> None:
    """With kernels that were emitted for the net's shapes."""
    assert 0 < overhead(DIGITS, "corstone-300", tmp_path) < 0.03


@pytest.fixture(scope="module")
def stateful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("state") / "keeps.py"
    file.write_text(STATE)
    return file


def test_state_is_kept_and_begins_anew(stateful: Path, tmp_path: Path) -> None:
    calls, table = both(stateful, "host", tmp_path)
    assert calls.manifest.memory["state"] > 0
    calls.test()
    table.test()


@pytest.mark.parametrize("seals", [True, False])
def test_a_damaged_table_is_noticed(
    seals: bool, stateful: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: another weight is computed with where the checksum fits, and else ends the firmware."""

    def damaged(plan: Plan, kernels: Numbers) -> bytes:
        whole = encode(plan, kernels)
        weights = max((one for one in plan.tensors.values() if one.data), key=lambda one: one.nbytes)
        at = whole.index(weights.data or b"")
        table = whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :]
        return sealed(table) if seals else table

    monkeypatch.setattr(table_model, "encode", damaged)
    _, table = both(stateful, "host", tmp_path)
    with pytest.raises(McuError, match=r"differ|elements" if seals else r"SIGILL|SIGTRAP"):
        table.test()


@pytest.mark.slow
@pytest.mark.parametrize("board", ["corstone-300", "mps2-an386", "mps2-an385"])
@pytest.mark.parametrize("net", ["kws", "vww", "ic", "ad"])
def test_four_nets(net: str, board: str, tmp_path: Path) -> None:
    assert 0 < overhead(NETS / f"{net}.py", board, tmp_path) < 0.03
