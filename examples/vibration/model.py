"""Is this motor as it was when it was new? An autoencoder of spectra, trained in seconds on a healthy one.

The firmware gets samples and gives a score: up to 1 the spectrum is one that the net has learnt to repeat.
Windowing, the Fourier transform and the logarithm are part of the model.
"""

import torch
from signals import SAMPLES, windows
from torch import nn


class Spectrum(nn.Module):
    """Samples -> decibels of the lower 128 lines of their spectrum."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(SAMPLES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: [batch, SAMPLES] -> [batch, 128]."""
        lines = torch.fft.rfft(x * self.window).abs()[:, :128]
        return torch.log10(lines + 0.1)


class Anomaly(nn.Module):
    """How badly an autoencoder repeats a spectrum, as a share of the worst in training."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrum = Spectrum()
        self.coder = nn.Sequential(
            nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 6), nn.ReLU(), nn.Linear(6, 32), nn.ReLU(),
            nn.Linear(32, 128),
        )  # fmt: skip
        self.register_buffer("limit", torch.ones(()))

    def error(self, x: torch.Tensor) -> torch.Tensor:
        """Mean square over the lines: [batch, 1]."""
        spectrum = self.spectrum(x)
        return (self.coder(spectrum) - spectrum).square().mean(1, keepdim=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: [batch, SAMPLES], in g -> score [batch, 1]: over 1 is unlike what was learnt."""
        return self.error(x) / self.limit


def model() -> nn.Module:
    """Train on 512 windows of a healthy motor; the limit is what none of 128 others exceeds by half."""
    torch.manual_seed(0)
    net = Anomaly()
    learnt, others = windows(512, worn=False, seed=1), windows(128, worn=False, seed=2)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.004)
    for _ in range(300):
        optimizer.zero_grad()
        net.error(learnt).mean().backward()
        optimizer.step()
    with torch.no_grad():
        net.limit.copy_(1.5 * net.error(others).max())
    return net.eval()


example_inputs = (torch.zeros(1, SAMPLES),)
# A worn bearing as well, so that the ranges of int8 hold what is to be found.
calibration = [
    *windows(48, worn=False, seed=3).split(1),
    *windows(16, worn=True, seed=4).split(1),
]
evaluation = [
    *((window, torch.zeros(1, 1)) for window in windows(60, worn=False, seed=5).split(1)),
    *((window, torch.ones(1, 1)) for window in windows(60, worn=True, seed=6).split(1)),
]
metric = "auc"
