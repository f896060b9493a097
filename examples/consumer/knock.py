"""Which knock was that? A bank of matched filters: one tap, two, or a shake.

It reads a module and a data file of its own, so that build systems have something to watch.
"""

import torch
from signals import SAMPLES, knocks, variations
from torch import nn


class Knock(nn.Module):
    """Correlation with each recording, of either sign, relative to the recording's length."""

    def __init__(self) -> None:
        super().__init__()
        filters = knocks() / knocks().norm(dim=1, keepdim=True)
        kinds = len(filters)
        self.match = nn.Linear(SAMPLES, 2 * kinds, bias=False)
        self.match.weight.data = torch.cat([filters, -filters])
        self.join = nn.Linear(2 * kinds, kinds, bias=False)
        self.join.weight.data = torch.cat([torch.eye(kinds), torch.eye(kinds)], dim=1)

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        """Scores [1, kinds] of a window [1, SAMPLES]."""
        return self.join(torch.relu(self.match(window)))


model = Knock()
example_inputs = (torch.zeros(1, SAMPLES),)
calibration = [window for window, _ in variations(16, seed=1)]
evaluation = variations(32, seed=2)
