"""MobileNetV2 at width 0.35 on 96x96 colour images: inverted residuals with ReLU6, to ten classes."""

import torch
from _inputs import images, labelled
from _weights import balanced, calibrated, varied
from torch import nn

# Of every stage: expansion, output channels at width 1, blocks, stride of the first.
EPILOGUES = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]
WIDTH = 0.35


def _channels(count: int) -> int:
    """The width's share of `count`: a multiple of 8, and never a tenth too few."""
    wanted = count * WIDTH
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        expand = [*_conv(inputs, wide, 1), nn.ReLU6()] if expansion > 1 else []
        depthwise = [*_conv(wide, wide, 3, stride, wide), nn.ReLU6()]
        self.layers = nn.Sequential(*expand, *depthwise, *_conv(wide, outputs, 1))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


class MobileNetV2(nn.Module):
    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        channels = _channels(32)
        layers: list[nn.Module] = [*_conv(3, channels, 3, 2), nn.ReLU6()]
        for expansion, wide, blocks, stride in EPILOGUES:
            for block in range(blocks):
                layers.append(_Block(channels, _channels(wide), stride if block == 0 else 1, expansion))
                channels = _channels(wide)
        self.features = nn.Sequential(*layers, *_conv(channels, 1280, 1), nn.ReLU6())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(1280, classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.features(image)).flatten(1))


def _steady(net: MobileNetV2) -> MobileNetV2:
    """Depthwise kernels that smooth, small residual branches, ReLUs that mostly pass: as training leaves it.

    A random net of this depth without them amplifies the noise of int8 until nothing is left of the answer.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d) and layer.groups > 1:
            layer.weight.data.abs_()
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.constant_(layer.bias, 0.5)
        if isinstance(layer, _Block) and layer.residual:
            nn.init.constant_(layer.layers[-1].weight, 0.3)
    return net


def _images(count: int, seed: int) -> list[torch.Tensor]:
    return [2 * image - 1 for image in images(count, 3, 96, seed)]


calibration = _images(16, seed=1)
model = balanced(
    calibrated(_steady(varied(MobileNetV2())), [torch.cat(_images(32, seed=0))]).eval(), calibration
)
weights_source = "seeded random, batch norms calibrated"
example_inputs = (torch.zeros(1, 3, 96, 96),)
evaluation = labelled(model, _images(8, seed=2))
