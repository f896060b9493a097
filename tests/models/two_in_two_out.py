"""An image and a vector of measurements in, a class and a position out."""

import torch
from _inputs import images, labelled, series
from _weights import varied
from torch import nn


class TwoInTwoOut(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten()
        )
        self.feel = nn.Sequential(nn.Linear(6, 16), nn.ReLU())
        self.classes, self.position = nn.Linear(32 + 16, 4), nn.Linear(32 + 16, 2)

    def forward(self, image: torch.Tensor, measured: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        both = torch.cat([self.look(image), self.feel(measured)], dim=1)
        return self.classes(both), torch.tanh(self.position(both))


class _Classes(nn.Module):
    """The first output alone: what a label is about."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.net(*inputs)[0]


def _pairs(count: int, seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    measured = [line[:, 0] for line in series(count, 1, 6, seed)]
    return list(zip(images(count, 1, 16, seed), measured, strict=True))


model = varied(TwoInTwoOut()).eval()
weights_source = "seeded random"
example_inputs = (torch.zeros(1, 1, 16, 16), torch.zeros(1, 6))
calibration = _pairs(24, seed=1)
evaluation = labelled(_Classes(model), _pairs(10, seed=2))
