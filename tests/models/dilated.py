"""Dilated convolutions: 3x3 kernels that reach over 5 and 9 pixels, the second depthwise."""

import torch
from _inputs import images, labelled
from _weights import balanced, varied
from torch import nn

calibration = images(24, 3, 16, seed=1)
model = balanced(
    varied(
        nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=2, dilation=2),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=4, dilation=4, groups=8),
            nn.ReLU(),
            nn.Conv2d(8, 12, 3, padding=(1, 2), dilation=(1, 2), stride=2),
            nn.ReLU(),
            nn.AvgPool2d(8),
            nn.Flatten(),
            nn.Linear(12, 6),
        )
    ).eval(),
    calibration,
)
weights_source = "seeded random"
example_inputs = (torch.zeros(1, 3, 16, 16),)
evaluation = labelled(model, images(10, 3, 16, seed=2))
