"""A model that an Ethos-U takes in pieces: one kernel is wider than any of them can have."""

import torch
from _inputs import images, labelled
from _weights import balanced, varied
from torch import nn

WIDE = 71


class Half(nn.Module):
    """Three convolutions with functions between, the one in the middle for the core."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.wide = nn.Conv2d(8, 8, (1, WIDE), padding=(0, WIDE // 2))
        self.after = nn.Conv2d(8, 12, 3)
        self.scores = nn.Linear(12, 6)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        seen = torch.relu(self.wide(torch.relu(self.before(image))))
        return self.scores(self.after(torch.sin(seen)).mean((2, 3)))


calibration = images(24, 3, 16, seed=1)
model = balanced(varied(Half()).eval(), calibration)
weights_source = "seeded random"
example_inputs = (torch.zeros(1, 3, 16, 16),)
evaluation = labelled(model, images(10, 3, 16, seed=2))
