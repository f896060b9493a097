"""DS-CNN, keyword spotting of MLPerf Tiny: 49x10 features to twelve words."""

import torch
from _inputs import images, labelled
from _weights import load_trained
from torch import nn


def _pair(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 1),
        nn.ReLU(),
    )


class DsCnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d((1, 1, 4, 5))
        self.stem = nn.Sequential(nn.Conv2d(1, 64, (10, 4), stride=2), nn.ReLU())
        self.pairs = nn.Sequential(*(_pair(64) for _ in range(4)))
        self.pool = nn.AvgPool2d((25, 5))
        self.head = nn.Linear(64, 12)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        x = self.pairs(self.stem(self.pad(features)))
        return torch.softmax(self.head(self.pool(x).flatten(1)), dim=1)


def _features(count: int, seed: int) -> list[torch.Tensor]:
    """Around zero, as cepstral coefficients are: 49 moments of 10."""
    return [4 * image[:, :, :, 10:20] - 2 for image in images(count, 1, 49, seed)]


calibration = _features(32, seed=1)
model = DsCnn().eval()
weights_source = load_trained(model, "kws", calibration)
example_inputs = (torch.zeros(1, 1, 49, 10),)
evaluation = labelled(model, _features(12, seed=2))
