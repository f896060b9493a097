"""MobileNetV1 at width 0.25, visual wake words of MLPerf Tiny: 96x96 colour images to two classes."""

import torch
from _inputs import images, labelled
from _weights import load_trained
from torch import nn

# Output channels and depthwise stride of each pair.
PAIRS = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1)]


def _same(stride: int) -> nn.ZeroPad2d:
    """SAME padding of a 3x3 kernel on an even size."""
    return nn.ZeroPad2d((0, 1, 0, 1) if stride == 2 else 1)


def _pair(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        _same(stride),
        nn.Conv2d(inputs, inputs, 3, stride, groups=inputs),
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, 1),
        nn.ReLU(),
    )


class MobileNetV1(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_same(2), nn.Conv2d(3, 8, 3, 2), nn.ReLU()]
        channels = 8
        for outputs, stride in PAIRS:
            layers.append(_pair(channels, outputs, stride))
            channels = outputs
        self.features = nn.Sequential(*layers)
        self.pool = nn.AvgPool2d(3)
        self.head = nn.Linear(256, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.head(self.pool(self.features(image)).flatten(1)), dim=1)


calibration = images(16, 3, 96, seed=1)
model = MobileNetV1().eval()
weights_source = load_trained(model, "vww", calibration)
example_inputs = (torch.zeros(1, 3, 96, 96),)
evaluation = labelled(model, images(8, 3, 96, seed=2))
