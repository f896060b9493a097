"""Autoencoder, anomaly detection of MLPerf Tiny: 5 frames of 128 mel bands through 8 numbers and back."""

from itertools import pairwise

import torch
from _inputs import series
from _weights import load_trained
from torch import nn


class Autoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128]
        layers = [
            layer for wide, narrow in pairwise(widths) for layer in (nn.Linear(wide, narrow), nn.ReLU())
        ]
        self.layers = nn.Sequential(*layers, nn.Linear(128, 640))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return self.layers(frames)


def _frames(count: int, seed: int) -> list[torch.Tensor]:
    """In decibels: falling with frequency, with a machine's hum on top that changes little between frames."""
    slope = torch.linspace(-10, -40, 128)
    return [
        (slope + 6 * hum[:, :128]).repeat(1, 5) + 1.5 * hum[:, 128:]
        for hum in (line[0] for line in series(count, 1, 768, seed))
    ]


calibration = _frames(32, seed=1)
model = Autoencoder().eval()
weights_source = load_trained(model, "ad", calibration)
example_inputs = (torch.zeros(1, 640),)
# An autoencoder's answer is no class.
evaluation = [(frames, None) for frames in _frames(8, seed=2)]
