"""Squeeze and excite: channels scaled by a sigmoid of their own means, a product that broadcasts."""

import torch
from _inputs import images, labelled
from _weights import balanced, varied
from torch import nn


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze, self.excite = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(self.excite(torch.relu(self.squeeze(self.pool(x)))))


calibration = images(24, 3, 16, seed=1)
model = balanced(
    varied(
        nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            SqueezeExcite(16),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.Hardswish(),
            nn.AvgPool2d(8),
            nn.Flatten(),
            nn.Linear(16, 6),
        )
    ).eval(),
    calibration,
)
weights_source = "seeded random"
example_inputs = (torch.zeros(1, 3, 16, 16),)
evaluation = labelled(model, images(10, 3, 16, seed=2))
