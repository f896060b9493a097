"""A U-Net on 96x96 pixels: three levels, 8 to 64 channels, skip connections. Random weights."""

import torch
from torch import nn


def pair(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3x3 convolutions."""
    layers = [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """An image [1, 3, 96, 96] to two scores a pixel."""

    def __init__(self, base: int = 8) -> None:
        super().__init__()
        sizes = [base, 2 * base, 4 * base, 8 * base]
        self.down = nn.ModuleList(pair(i, o) for i, o in zip([3, *sizes], sizes, strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * o, o, 2, 2) for o in reversed(sizes[:-1]))
        self.joined = nn.ModuleList(pair(2 * o, o) for o in reversed(sizes[:-1]))
        self.out = nn.Conv2d(base, 2, 1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Down, and up again with what was there on the way down."""
        skips, x = [], image
        for level, down in enumerate(self.down):
            x = down(self.pool(x) if level else x)
            skips.append(x)
        for up, joined, skip in zip(self.up, self.joined, reversed(skips[:-1]), strict=True):
            x = joined(torch.cat([up(x), skip], 1))
        return self.out(x)


torch.manual_seed(0)
model = UNet()
with torch.no_grad():
    for _ in range(5):
        model(torch.randn(4, 3, 96, 96))
model.eval()
example_inputs = (torch.randn(1, 3, 96, 96),)
calibration = [(torch.randn(1, 3, 96, 96),) for _ in range(2)]
