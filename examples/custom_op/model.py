"""A denoiser for short signals: a custom operator between two layers, and another one on what comes out."""

import torch
from operators import sign_changes, soft_threshold
from torch import nn

LENGTH = 16


class Denoise(nn.Module):
    """To another basis, small coefficients to zero, and back; beside it the signal's sign changes."""

    def __init__(self) -> None:
        super().__init__()
        basis, _ = torch.linalg.qr(torch.randn(LENGTH, LENGTH, generator=torch.Generator().manual_seed(0)))
        self.analysis = nn.Linear(LENGTH, LENGTH, bias=False)
        self.synthesis = nn.Linear(LENGTH, LENGTH, bias=False)
        self.analysis.weight.data.copy_(basis)
        self.synthesis.weight.data.copy_(basis.T)

    def forward(self, signal: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        clean = self.synthesis(soft_threshold(self.analysis(signal), 0.25))
        return clean, sign_changes(clean)


def signals(seed: int) -> list[torch.Tensor]:
    """Sines of random frequency and phase, with noise."""
    dice = torch.Generator().manual_seed(seed)
    time = torch.arange(LENGTH) / LENGTH
    draw = torch.rand(32, 2, generator=dice)
    noise = torch.randn(32, LENGTH, generator=dice) * 0.1
    waves = torch.sin(2 * torch.pi * (draw[:, :1] * 4 * time + draw[:, 1:])) + noise
    return list(waves.split(1))


model = Denoise()
example_inputs = (signals(0)[0],)
calibration = [(signal,) for signal in signals(1)]
evaluation = [((signal,), None) for signal in signals(2)]
