"""Depthwise convolutions with several outputs a channel, and a first convolution of one channel."""

import torch
from _inputs import images, labelled
from _weights import balanced, varied
from torch import nn

calibration = images(24, 1, 16, seed=1)
model = balanced(
    varied(
        nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(4, 12, 3, stride=2, padding=1, groups=4),
            nn.ReLU(),
            nn.Conv2d(12, 24, 5, padding=2, groups=12),
            nn.ReLU(),
            nn.AvgPool2d(8),
            nn.Flatten(),
            nn.Linear(24, 6),
        )
    ).eval(),
    calibration,
)
weights_source = "seeded random"
example_inputs = (torch.zeros(1, 1, 16, 16),)
evaluation = labelled(model, images(10, 1, 16, seed=2))
