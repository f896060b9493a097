"""One-dimensional convolutions over three axes of an accelerometer, to six movements."""

import torch
from _inputs import labelled, series
from _weights import balanced, varied
from torch import nn

calibration = series(32, 3, 64, seed=1)
model = balanced(
    varied(
        nn.Sequential(
            nn.Conv1d(3, 16, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv1d(16, 16, 3, padding=1, groups=16),
            nn.Conv1d(16, 24, 1),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(24, 24, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool1d(16),
            nn.Flatten(),
            nn.Linear(24, 6),
        )
    ).eval(),
    calibration,
)
weights_source = "seeded random"
example_inputs = (torch.zeros(1, 3, 64),)
evaluation = labelled(model, series(12, 3, 64, seed=2))
