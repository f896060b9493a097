"""What a step of a stream takes, beside the whole recording."""

from pathlib import Path

import pytest

import mcu_build

HEAD = """
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
"""
MODELS = {
    "tcn": """
        self.blocks = nn.ModuleList([nn.Conv1d(16, 16, 3, dilation=2**i) for i in range(3)])

    def forward(self, x):
        for block in self.blocks:
            x = x + torch.relu(block(F.pad(x, (2 * block.dilation[0], 0))))
        return x
""",
    "separable": """
        self.depthwise = nn.ModuleList([nn.Conv1d(32, 32, 5, groups=32) for _ in range(3)])
        self.pointwise = nn.ModuleList([nn.Conv1d(32, 32, 1) for _ in range(3)])

    def forward(self, x):
        for depthwise, pointwise in zip(self.depthwise, self.pointwise):
            x = torch.relu(pointwise(torch.relu(depthwise(F.pad(x, (4, 0))))))
        return x
""",
}
DATA = """
torch.manual_seed(0)
model = Net()
example_inputs = (torch.randn(1, {channels}, 64),)
calibration = [torch.randn(1, {channels}, 64) for _ in range(4)]
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "board", "share"),
    [
        ("tcn", "mps2-an386", 1.15),
        ("tcn", "corstone-300", 1.3),
        ("separable", "mps2-an386", 1.4),
        ("separable", "corstone-300", 1.45),
    ],
)
def test_a_step_takes_its_share_of_the_recording(net: str, board: str, share: float, tmp_path: Path) -> None:
    """Of 64 hops: a 64th of the products, and little more than that of the instructions.

    Channels that never matter are left out of the whole alone: states keep them.
    """
    model = HEAD + MODELS[net] + DATA.format(channels=16 if net == "tcn" else 32)
    profiles = []
    for name, text in (("whole", model), ("steps", model + 'stream = {"x": 2}\n')):
        file = tmp_path / f"{name}.py"
        file.write_text(text)
        built = mcu_build.build(file, board=board, npu="none", build_dir=tmp_path)
        profiles.append(built.profile())
    whole, step = profiles
    assert 1 <= 64 * step.macs / whole.macs < (1.01 if net == "tcn" else 1.1)
    assert 0.9 < 64 * step.total.instructions / whole.total.instructions < share
