"""Mean, permute and concatenation between convolutions: what the wheel leaves as float operators."""

import torch
from _inputs import images, labelled
from _weights import balanced, varied
from torch import nn


class MeanPermuteConcat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(3, 10, 1)
        self.mix = nn.Linear(16, 8)
        self.head = nn.Linear(8 + 16, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        both = torch.cat([torch.relu(self.left(image)), torch.relu(self.right(image))], dim=1)
        mixed = torch.relu(self.mix(both.permute(0, 2, 3, 1)))
        return self.head(torch.cat([mixed.mean(dim=(1, 2)), both.mean(dim=(2, 3))], dim=1))


calibration = images(24, 3, 12, seed=1)
model = balanced(varied(MeanPermuteConcat()).eval(), calibration)
weights_source = "seeded random"
example_inputs = (torch.zeros(1, 3, 12, 12),)
evaluation = labelled(model, images(10, 3, 12, seed=2))
