"""Which of two tones is in a short piece of sound, a slow or a fast one?"""

import math

import torch
from torch import nn

SAMPLES = 64


def tone(kind: int, dice: torch.Generator) -> torch.Tensor:
    """A slow (0) or fast (1) sine with a random phase, in some noise."""
    phase = torch.rand(1, generator=dice) * 2 * math.pi
    steps = torch.arange(SAMPLES) * (0.2 if kind == 0 else 0.9)
    return (torch.sin(steps + phase) + 0.2 * torch.randn(SAMPLES, generator=dice)).reshape(1, SAMPLES)


def examples(count: int, seed: int) -> list[tuple[torch.Tensor, int]]:
    """Labelled tones."""
    dice = torch.Generator().manual_seed(seed)
    return [(tone(i % 2, dice), i % 2) for i in range(count)]


def model() -> nn.Module:
    """Trained in a second."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(SAMPLES, 32), nn.ReLU(), nn.Linear(32, 2))
    data = examples(400, seed=1)
    inputs, labels = torch.cat([x for x, _ in data]), torch.tensor([y for _, y in data])
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(inputs), labels).backward()
        optimizer.step()
    return net


example_inputs = (torch.zeros(1, SAMPLES),)
calibration = [x for x, _ in examples(64, seed=2)]
evaluation = examples(100, seed=3)
