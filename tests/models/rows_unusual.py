"""Layers that can run row by row, in unusual shapes: odd sizes, gaps, strides, joins."""

import torch
from torch import nn


class Unusual(nn.Module):
    """Image [1, 3, 37, 29] to 5 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, 1, padding=1), nn.Hardswish())
        self.wide = nn.Sequential(nn.Conv2d(6, 20, 1), nn.ReLU6())
        self.deep = nn.Sequential(nn.Conv2d(20, 20, 5, padding=2, groups=20), nn.ReLU())
        self.narrow = nn.Conv2d(20, 6, 1)
        self.gaps = nn.Conv2d(6, 6, 3, padding=2, dilation=2)
        self.groups = nn.Conv2d(6, 12, 3, padding=1, groups=2)
        self.high = nn.Conv2d(24, 8, (7, 2), stride=(2, 1), padding=(3, 0))
        self.low = nn.Conv2d(8, 8, 3, stride=3, padding=1, groups=8)
        self.up = nn.ConvTranspose2d(8, 8, 3, stride=2, padding=1)
        self.head = nn.Linear(8, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Everything once."""
        x = self.stem(image)
        x = x + self.narrow(self.deep(self.wide(x)))
        x = x + self.gaps(x)
        y = self.groups(x)
        x = torch.cat([y, nn.functional.max_pool2d(y, 3, 1, 1)], dim=1)
        x = nn.functional.avg_pool2d(torch.relu(self.high(x)), (2, 2), (1, 2), ceil_mode=False)
        x = self.up(self.low(x))
        return self.head(torch.sigmoid(x).mean((2, 3)))


torch.manual_seed(3)
model = Unusual().eval()
for parameter in model.parameters():
    parameter.data *= 1.5


def images(count: int, seed: int) -> list[torch.Tensor]:
    """Noise of various strength and brightness, so that answers vary."""
    dice = torch.Generator().manual_seed(seed)
    noise = [torch.randn(1, 3, 37, 29, generator=dice) for _ in range(count)]
    return [(index % 4 + 1) * one / 2 + (index % 7 - 3) for index, one in enumerate(noise)]


weights_source = "seeded random"
example_inputs = (torch.zeros(1, 3, 37, 29),)
calibration = [(image,) for image in images(16, seed=4)]
evaluation = [((image,), None) for image in images(8, seed=5)]
