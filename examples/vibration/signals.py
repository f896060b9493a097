"""A motor's vibration, made up: its rotation and harmonics of it, in noise; a worn bearing adds ringing."""

import math

import torch

RATE = 1600  # samples a second
SAMPLES = 256


def vibration(worn: bool, dice: torch.Generator) -> torch.Tensor:
    """A window of acceleration, in g: [1, SAMPLES]."""
    time = torch.arange(SAMPLES) / RATE
    speed = 45 + 10 * torch.rand(1, generator=dice)  # rotations a second
    phase = 2 * math.pi * torch.rand(4, generator=dice)
    sizes = torch.tensor([1.0, 0.4, 0.2, 0.1]) * (0.8 + 0.4 * torch.rand(4, generator=dice))
    turns = torch.arange(1, 5)[:, None] * speed * time
    wave = (sizes[:, None] * torch.sin(2 * math.pi * turns + phase[:, None])).sum(0)
    if worn:
        # Each passage of a ball over the fault rings at the housing's frequency and fades.
        since = (time * speed * 3.6 + torch.rand(1, generator=dice)) % 1 / (speed * 3.6)
        wave = wave + 0.8 * torch.exp(-since * 600) * torch.sin(2 * math.pi * 520 * since)
    return (wave + 0.05 * torch.randn(SAMPLES, generator=dice)).reshape(1, SAMPLES)


def windows(count: int, worn: bool, seed: int) -> torch.Tensor:
    """Several windows: [count, SAMPLES]."""
    dice = torch.Generator().manual_seed(seed)
    return torch.cat([vibration(worn, dice) for _ in range(count)])
