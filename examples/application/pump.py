"""Is this pump still well? An autoencoder that knows a healthy one's vibration and reproduces no other."""

import math

import torch
from torch import nn

SAMPLES = 64


def vibration(count: int, seed: int) -> torch.Tensor:
    """`count` windows of a healthy pump: a tone with its overtone, at any phase, and a little noise."""
    dice = torch.Generator().manual_seed(seed)
    steps = torch.arange(SAMPLES) * (2 * math.pi / SAMPLES)
    phases = torch.rand(count, 1, generator=dice) * 2 * math.pi
    signal = torch.sin(3 * steps + phases) + 0.4 * torch.sin(6 * steps + 2 * phases)
    return signal + 0.05 * torch.randn(count, SAMPLES, generator=dice)


def model() -> nn.Module:
    """Train in a second. One thread, since the order of sums decides the last bits of the weights."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(SAMPLES, 32), nn.ReLU(), nn.Linear(32, 8))
    decoder = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, SAMPLES))
    net = nn.Sequential(encoder, decoder)
    data = vibration(512, seed=1)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.005)
    for _ in range(400):
        optimizer.zero_grad()
        nn.functional.mse_loss(net(data), data).backward()
        optimizer.step()
    torch.set_num_threads(threads)
    return net


example_inputs = (torch.zeros(1, SAMPLES),)
calibration = list(vibration(64, seed=2).split(1))
