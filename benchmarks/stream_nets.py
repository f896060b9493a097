"""Causal nets of whole recordings, for stream_steps.py and its test."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional


class Dilated(nn.Module):
    """Residual blocks of dilated convolutions over [1, channels, time]."""

    def __init__(self, channels: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Conv1d(channels, channels, 3, dilation=each) for each in dilations])

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        for block in self.blocks:
            x = x + torch.relu(block(functional.pad(x, (2 * block.dilation[0], 0))))
        return x


class Separable(nn.Module):
    """Depthwise and pointwise convolutions over [1, 32, time]."""

    def __init__(self, strides: Sequence[int]) -> None:
        super().__init__()
        self.depthwise = nn.ModuleList([nn.Conv1d(32, 32, 5, stride=each, groups=32) for each in strides])
        self.pointwise = nn.ModuleList([nn.Conv1d(32, 32, 1) for _ in strides])

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        for depthwise, pointwise in zip(self.depthwise, self.pointwise, strict=True):
            x = torch.relu(pointwise(torch.relu(depthwise(functional.pad(x, (4, 0))))))
        return x


class Spectrogram(nn.Module):
    """A 2-D DS-CNN over [1, 1, time, 20]."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 24, (5, 3), stride=2)
        self.depthwise = nn.ModuleList([nn.Conv2d(24, 24, 3, groups=24, stride=each) for each in (1, 2)])
        self.pointwise = nn.ModuleList([nn.Conv2d(24, 24, 1) for _ in range(2)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        x = torch.relu(self.first(functional.pad(x, (1, 1, 4, 0))))
        for depthwise, pointwise in zip(self.depthwise, self.pointwise, strict=True):
            x = torch.relu(pointwise(torch.relu(depthwise(functional.pad(x, (1, 1, 2, 0))))))
        return x


# Shapes of whole recordings; their dimension 2 is time.
SHAPES = {
    "tcn": (1, 16, 64),
    "long": (1, 32, 128),
    "separable": (1, 32, 64),
    "strided": (1, 32, 64),
    "spectrogram": (1, 1, 64, 20),
}


def net(name: str) -> nn.Module:
    """A net by name, its weights random and always the same."""
    torch.manual_seed(0)
    made = {
        "tcn": lambda: Dilated(16, (1, 2, 4)),
        "long": lambda: Dilated(32, (16, 32)),
        "separable": lambda: Separable((1, 1, 1)),
        "strided": lambda: Separable((2, 2, 1)),
        "spectrogram": Spectrogram,
    }
    return made[name]()


def model_file(here: str, name: str, stream: bool) -> str:
    """The model file of a net, whole or in steps. `here` is the folder of this module."""
    return f"""import sys
sys.path.insert(0, {here!r})
import torch
from stream_nets import net

model = net({name!r})
example_inputs = (torch.randn{SHAPES[name]},)
calibration = [torch.randn{SHAPES[name]} for _ in range(4)]
{'stream = {"x": 2}' if stream else ""}
"""
