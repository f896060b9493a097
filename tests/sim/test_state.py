"""State on simulated cores: programs that others exported, and beside an NPU under both runtimes."""

from pathlib import Path

import pytest
import torch

from mcu_build.resources import data_dir
from tests.host.test_program_buffers import Cache, Chain, Mean, Window, exported
from tests.support.cli import mcu_build


@pytest.mark.slow
@pytest.mark.parametrize("board", ["mps2-an386", "corstone-300"])
@pytest.mark.parametrize("kind", [Mean, Window, Chain, Cache])
def test_programs_keep_their_buffers(kind: type[torch.nn.Module], board: str, tmp_path: Path) -> None:
    """Written back as the exporter does it, and in place."""
    for in_place in (False, True):
        torch.manual_seed(2)
        path = tmp_path / f"program_{in_place}.pte"
        path.write_bytes(exported(kind(), in_place=in_place))
        tested = mcu_build("test", "--board", board, "--npu", "none", "--json", path)
        assert tested.status == 0, tested.err
        assert (tested.json["mismatches"], tested.json["outputs_vary"]) == (0, True)
        assert tested.json["state"]["elements"] > 0
        assert tested.json["state"]["mismatches"] == 0


@pytest.mark.slow
def test_a_stream_beside_an_npu(tmp_path: Path) -> None:
    """The wake word from its sound: its net on the NPU, its past on the core, 150 steps in QEMU."""
    model = data_dir() / "examples" / "streams" / "wake.py"
    command = ("test", "--board", "corstone-300", "--npu", "ethos-u55-128", "--vectors", 150)
    tested = mcu_build(*command, "--build-dir", tmp_path, "--json", model)
    assert tested.status == 0, tested.err
    assert (tested.json["mismatches"], tested.json["outputs_vary"]) == (0, True)
    assert tested.json["state"] == {"elements": 193_200, "mismatches": 0}
    assert min(one["sqnr_db"] for one in tested.json["quality"]) > 30


RING = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("past", torch.zeros(1, 8, 2))
        self.a, self.b, self.o = nn.Conv1d(8, 16, 3), nn.Conv1d(16, 8, 1), nn.Linear(8, 4)

    def forward(self, x):
        window = torch.cat([self.past, x], 2)
        self.past.copy_(window[..., 1:])
        return self.o(torch.relu(self.b(torch.relu(self.a(window)))).flatten(1))

def calls(count):
    return [(torch.randn(1, 8, 1),) for _ in range(count)]

torch.manual_seed(0)
model = Net()
example_inputs = calls(1)[0]
calibration = [calls(60)]
evaluation = [(calls(20), None), (calls(5), None)]
"""


@pytest.mark.slow
def test_executorchs_runtime_carries_state_beside_delegates(tmp_path: Path) -> None:
    path = tmp_path / "ring.py"
    path.write_text(RING)
    command = ("test", "--board", "host", "--npu", "ethos-u55-128", "--runtime", "executorch")
    tested = mcu_build(*command, "--build-dir", tmp_path, "--json", path)
    assert tested.status == 0, tested.err
    assert (tested.json["mismatches"], tested.json["outputs_vary"]) == (0, True)
    assert tested.json["state"] == {"elements": 25 * 16, "mismatches": 0}
