"""EfficientNet-Lite0 on 96x96 pixels: B0 of arXiv:1905.11946, table 1, with ReLU6 and without squeezing.

Random weights, ten classes.
"""

import torch
from torch import nn

# Expansion, kernel, stride of the first block, output channels, blocks.
_STAGES = (
    *((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3)),
    *((6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)),
)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]


class Bottleneck(nn.Module):
    """Wider, depthwise, narrower; with the input where sizes are the same."""

    def __init__(self, inputs: int, outputs: int, kernel: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.layers = nn.Sequential(
            *([*_conv(inputs, wide, 1), nn.ReLU6()] if expansion > 1 else []),
            *_conv(wide, wide, kernel, stride, wide),
            nn.ReLU6(),
            *_conv(wide, outputs, 1),
        )
        self.is_residual = inputs == outputs and stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The layers."""
        return x + self.layers(x) if self.is_residual else self.layers(x)


class Net(nn.Module):
    """An image [1, 3, 96, 96] to ten scores."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [*_conv(3, 32, 3, 2), nn.ReLU6()]
        inputs = 32
        for expansion, kernel, first, outputs, blocks in _STAGES:
            for block in range(blocks):
                stride = first if block == 0 else 1
                layers.append(Bottleneck(inputs, outputs, kernel, expansion, stride))
                inputs = outputs
        self.features = nn.Sequential(*layers, *_conv(inputs, 1280, 1), nn.ReLU6())
        self.head = nn.Linear(1280, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Features, their averages, scores."""
        return self.head(self.features(image).mean((2, 3)))


torch.manual_seed(0)
model = Net()
with torch.no_grad():
    for _ in range(5):
        model(torch.randn(4, 3, 96, 96))
model.eval()
example_inputs = (torch.randn(1, 3, 96, 96),)
calibration = [(torch.randn(1, 3, 96, 96),) for _ in range(2)]
