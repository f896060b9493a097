"""A temporal convolutional net: 8 sensors by 128 samples, dilated residual blocks, to six activities."""

import torch
from torch import nn

torch.manual_seed(0)
SENSORS, SAMPLES, WIDTH, ACTIVITIES = 8, 128, 24, 6


class Block(nn.Module):
    """Two dilated convolutions of 3 taps around a sum."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(WIDTH, WIDTH, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv1d(WIDTH, WIDTH, 3, padding=dilation, dilation=dilation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[1, WIDTH, SAMPLES] → the same."""
        return torch.relu(x + self.second(torch.relu(self.first(x))))


model = nn.Sequential(
    *(nn.Conv1d(SENSORS, WIDTH, 3, padding=1), nn.ReLU()),
    *(Block(dilation) for dilation in (1, 2, 4, 8)),
    *(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(WIDTH, ACTIVITIES)),
).eval()
calibration = [torch.randn(1, SENSORS, SAMPLES) for _ in range(4)]
example_inputs = (calibration[0],)
