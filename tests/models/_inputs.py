"""Seeded inputs with structure, since plain noise looks the same to most nets."""

import math

import torch


def images(count: int, channels: int, size: int, seed: int) -> list[torch.Tensor]:
    """[1, channels, size, size] from 0 to 1: gratings, blobs and flat areas of many colours."""
    dice = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    found = []
    for index in range(count):
        a, b, c, d, e = (2 * torch.rand(5, channels, 1, 1, generator=dice) - 1).unbind()
        grating = torch.sin(math.pi * (1 + index % 7) * (a * x + b * y) + 3 * c)
        blob = torch.exp(-((x - d) ** 2 + (y - e) ** 2) * (2 + index % 5))
        noise = 0.05 * torch.randn(channels, size, size, generator=dice)
        mixed = (0.5 + 0.25 * grating * (index % 3) + blob * a + 0.3 * b + noise).clamp(0, 1)
        found.append(mixed.unsqueeze(0))
    return found


def series(count: int, channels: int, length: int, seed: int) -> list[torch.Tensor]:
    """[1, channels, length]: sums of three sines, each with its own pitch, phase and strength."""
    dice = torch.Generator().manual_seed(seed)
    time = torch.linspace(0, 2 * math.pi, length)
    found = []
    for _ in range(count):
        pitch = 1 + 9 * torch.rand(3, channels, 1, generator=dice)
        phase = 2 * math.pi * torch.rand(3, channels, 1, generator=dice)
        strength = torch.randn(3, channels, 1, generator=dice)
        found.append((strength * torch.sin(pitch * time + phase)).sum(0).unsqueeze(0))
    return found


def labelled(net: torch.nn.Module, inputs: list) -> list:
    """(inputs, the float model's own answer): what int8 and firmware should agree with."""
    with torch.no_grad():
        tuples = [item if isinstance(item, tuple) else (item,) for item in inputs]
        return [(item, int(net(*item).argmax())) for item in tuples]
