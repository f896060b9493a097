"""ResNet8, image classification of MLPerf Tiny: 32x32 colour images, 0 to 255, to ten classes."""

import torch
from _inputs import images, labelled
from _weights import load_trained
from torch import nn


class _Conv(nn.Module):
    """A convolution with SAME padding: at stride 2 an even size is padded below and on the right alone."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = kernel - stride if kernel > stride else 0
        self.pad = nn.ZeroPad2d((wide // 2, wide - wide // 2) * 2)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.pad(x))


class _Stack(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = _Conv(inputs, outputs, 3, stride)
        self.second = _Conv(outputs, outputs, 3, 1)
        self.shortcut = _Conv(inputs, outputs, 1, stride) if inputs != outputs else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.second(torch.relu(self.first(x))) + self.shortcut(x))


class ResNet8(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = _Conv(3, 16, 3, 1)
        self.stacks = nn.Sequential(_Stack(16, 16, 1), _Stack(16, 32, 2), _Stack(32, 64, 2))
        self.pool = nn.AvgPool2d(8)
        self.head = nn.Linear(64, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.stacks(torch.relu(self.stem(image))))
        return torch.softmax(self.head(x.flatten(1)), dim=1)


def _images(count: int, seed: int) -> list[torch.Tensor]:
    return [(255 * image).round() for image in images(count, 3, 32, seed)]


calibration = _images(24, seed=1)
model = ResNet8().eval()
weights_source = load_trained(model, "ic", calibration)
example_inputs = (torch.zeros(1, 3, 32, 32),)
evaluation = labelled(model, _images(8, seed=2))
