"""MobileNetV3-Small at width 0.5 on 96x96 pixels, after table 2 of arXiv:1905.02244. Random weights."""

import torch
from torch import nn

# Kernel, expanded and output channels at width 1, squeeze and excitation, hardswish, stride.
_BLOCKS = (
    *((3, 16, 16, True, False, 2), (3, 72, 24, False, False, 2), (3, 88, 24, False, False, 1)),
    *((5, 96, 40, True, True, 2), (5, 240, 40, True, True, 1), (5, 240, 40, True, True, 1)),
    *((5, 120, 48, True, True, 1), (5, 144, 48, True, True, 1)),
    *((5, 288, 96, True, True, 2), (5, 576, 96, True, True, 1), (5, 576, 96, True, True, 1)),
)
_WIDTH = 0.5


def _multiple_of_8(count: float) -> int:
    """The nearest multiple of 8, and never a tenth too few."""
    rounded = max(8, int(count + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * count else rounded


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]


class SqueezeExcite(nn.Module):
    """Channels scaled by what their averages say."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = _multiple_of_8(channels / 4)
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, channels, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Both multiplied."""
        return x * self.scale(x)


class Bottleneck(nn.Module):
    """Wider, depthwise, scaled, narrower; with the input where sizes are the same."""

    def __init__(
        self, inputs: int, wide: int, outputs: int, kernel: int, squeezes: bool, hard: bool, stride: int
    ) -> None:
        super().__init__()
        activation = nn.Hardswish if hard else nn.ReLU
        self.layers = nn.Sequential(
            *([*_conv(inputs, wide, 1), activation()] if wide != inputs else []),
            *_conv(wide, wide, kernel, stride, wide),
            activation(),
            *([SqueezeExcite(wide)] if squeezes else []),
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
        inputs = _multiple_of_8(16 * _WIDTH)
        layers: list[nn.Module] = [*_conv(3, inputs, 3, 2), nn.Hardswish()]
        for kernel, wide, outputs, squeezes, hard, stride in _BLOCKS:
            expanded, narrow = _multiple_of_8(wide * _WIDTH), _multiple_of_8(outputs * _WIDTH)
            layers.append(Bottleneck(inputs, expanded, narrow, kernel, squeezes, hard, stride))
            inputs = narrow
        self.features = nn.Sequential(*layers, *_conv(inputs, 6 * inputs, 1), nn.Hardswish())
        self.head = nn.Sequential(nn.Linear(6 * inputs, 1024), nn.Hardswish(), nn.Linear(1024, 10))

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
