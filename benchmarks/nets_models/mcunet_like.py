"""A net as MCUNet on 176x176 pixels: inverted bottlenecks with kernels of 3, 5 and 7. Random weights."""

import torch
from torch import nn

# Output channels, kernel, expansion, stride.
_BLOCKS = (
    *((8, 3, 1, 1), (16, 7, 3, 2), (16, 3, 3, 1), (16, 5, 3, 1), (16, 7, 4, 1)),
    *((24, 5, 5, 2), (24, 3, 5, 1), (24, 5, 5, 1), (40, 7, 6, 2), (40, 3, 4, 1)),
    *((48, 5, 5, 1), (48, 3, 5, 1), (96, 5, 5, 2), (96, 3, 4, 1), (160, 7, 5, 1)),
)


class Bottleneck(nn.Module):
    """Wider, depthwise, narrower; with the input where sizes are the same."""

    def __init__(self, inputs: int, outputs: int, kernel: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expansion
        expand = [nn.Conv2d(inputs, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()]
        self.layers = nn.Sequential(
            *(expand if expansion > 1 else []),
            nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.is_residual = inputs == outputs and stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The layers."""
        return x + self.layers(x) if self.is_residual else self.layers(x)


class Net(nn.Module):
    """An image [1, 3, 176, 176] to ten scores."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6()]
        inputs = 16
        for outputs, kernel, expansion, stride in _BLOCKS:
            layers.append(Bottleneck(inputs, outputs, kernel, expansion, stride))
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Features, their averages, scores."""
        return self.head(self.features(image).mean((2, 3)))


torch.manual_seed(0)
model = Net()
with torch.no_grad():
    for _ in range(5):
        model(torch.randn(4, 3, 176, 176))
model.eval()
example_inputs = (torch.randn(1, 3, 176, 176),)
calibration = [(torch.randn(1, 3, 176, 176),) for _ in range(2)]
