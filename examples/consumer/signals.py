"""What the accelerometer has recorded: one of three knocks, and recordings like it."""

import csv
from pathlib import Path

import torch

RECORDED = Path(__file__).with_name("knocks.csv")
SAMPLES = 32


def knocks() -> torch.Tensor:
    """The recordings of knocks.csv, [kinds, SAMPLES], in units of g."""
    with RECORDED.open() as stream:
        return torch.tensor([[int(value) for value in row[1:]] for row in csv.reader(stream)]) / 100


def variations(count: int, seed: int) -> list[tuple[torch.Tensor, int]]:
    """`count` knocks of each kind, of any strength and either sign, in some noise, with their kinds."""
    dice = torch.Generator().manual_seed(seed)
    made = []
    for _ in range(count):
        for kind, knock in enumerate(knocks()):
            strength = torch.rand(1, generator=dice) + 0.3
            sign = 1 if torch.rand(1, generator=dice) < 0.5 else -1
            noise = 0.05 * torch.randn(SAMPLES, generator=dice)
            made.append(((sign * strength * knock + noise).reshape(1, SAMPLES), kind))
    return made
