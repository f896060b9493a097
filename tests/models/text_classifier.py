"""Embedding and linear layers over twelve tokens: integers in, four classes out."""

import torch
from _inputs import labelled
from _weights import varied
from torch import nn

LENGTH, WORDS, WIDTH = 12, 64, 16


class TextClassifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, WIDTH)
        self.embedding.weight.data = torch.randn(WORDS, WIDTH, generator=torch.Generator().manual_seed(3))
        self.hidden, self.head = nn.Linear(LENGTH * WIDTH, 24), nn.Linear(24, 4)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.hidden(self.embedding(tokens).flatten(1))))


def _sentences(count: int, seed: int) -> list[torch.Tensor]:
    """Frequent words have low numbers, as in a sorted vocabulary."""
    dice = torch.Generator().manual_seed(seed)
    return [(WORDS * torch.rand(1, LENGTH, generator=dice) ** 2).long() for _ in range(count)]


model = varied(TextClassifier()).eval()
weights_source = "seeded random"
example_inputs = (torch.zeros(1, LENGTH, dtype=torch.int64),)
calibration = _sentences(32, seed=1)
evaluation = labelled(model, _sentences(12, seed=2))
