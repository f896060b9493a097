"""What a step of a stream takes, beside the whole recording."""

from pathlib import Path

import pytest

import mcu_build

MODEL = """
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Conv1d(16, 16, 3, dilation=2**i) for i in range(3)])

    def forward(self, x):
        for block in self.blocks:
            x = x + torch.relu(block(F.pad(x, (2 * block.dilation[0], 0))))
        return x

torch.manual_seed(0)
model = Net()
example_inputs = (torch.randn(1, 16, 64),)
calibration = [torch.randn(1, 16, 64) for _ in range(4)]
"""


@pytest.mark.slow
@pytest.mark.parametrize(("board", "share"), [("mps2-an386", 1.15), ("corstone-300", 1.3)])
def test_a_step_takes_its_share_of_the_recording(board: str, share: float, tmp_path: Path) -> None:
    """Of 64 hops: a 64th of the products, and little more than that of the instructions."""
    profiles = []
    for name, text in (("whole", MODEL), ("steps", MODEL + 'stream = {"x": 2}\n')):
        file = tmp_path / f"{name}.py"
        file.write_text(text)
        built = mcu_build.build(file, board=board, npu="none", build_dir=tmp_path)
        profiles.append(built.profile())
    whole, step = profiles
    assert whole.macs == 64 * step.macs
    assert 0.9 < 64 * step.total.instructions / whole.total.instructions < share
