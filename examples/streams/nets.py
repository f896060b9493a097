"""The three nets, and the bank of filters that two of them hear with."""

import math
from pathlib import Path

import torch
from signals import GESTURES, RATE, WORDS
from torch import nn
from torch.nn import functional

BANDS = 16
TAPS, STRIDE, MEAN = 64, 32, 4
HOP = STRIDE * MEAN  # samples of sound for one frame


class LogMel(nn.Module):
    """Sound [1, 1, samples] to log energies [1, BANDS, samples / HOP] in bands that are equally wide in mel.

    Each band is a windowed cosine and sine; nothing in it is trained.
    """

    def __init__(self) -> None:
        super().__init__()
        mel = torch.linspace(150, 2000, BANDS)
        hertz = 700 * (torch.exp(mel / 1127) - 1)
        turn = 2 * math.pi * hertz[:, None] * torch.arange(TAPS) / RATE
        window = torch.hann_window(TAPS)
        self.filters = nn.Conv1d(1, 2 * BANDS, TAPS, stride=STRIDE, bias=False)
        filters = torch.cat([torch.cos(turn), torch.sin(turn)]) * window / window.sum()
        self.filters.weight = nn.Parameter(filters[:, None], requires_grad=False)

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        """Frames of log energies, each from the HOP samples before its end."""
        waves = self.filters(functional.pad(sound, (TAPS - STRIDE, 0))).abs()
        energy = functional.avg_pool1d(waves[:, :BANDS] + waves[:, BANDS:], MEAN)
        return torch.log(energy + 0.005)


class Keyword(nn.Module):
    """Log mel frames, separable convolutions that look back, the mean of three quarters of a second."""

    def __init__(self) -> None:
        super().__init__()
        self.hear = LogMel()
        self.first = nn.Conv1d(BANDS, 24, 3)
        self.depthwise = nn.Conv1d(24, 24, 5, groups=24)
        self.pointwise = nn.Conv1d(24, 24, 1)
        self.head = nn.Linear(24, len(WORDS))

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        """Scores [1, words] of the last 48 frames."""
        frames = torch.relu(self.first(functional.pad(self.hear(sound), (2, 0))))
        frames = torch.relu(self.pointwise(torch.relu(self.depthwise(functional.pad(frames, (4, 0))))))
        return self.head(frames.mean(2))


class Voice(nn.Module):
    """Log mel frames and a GRU: whether a voice is heard, frame by frame."""

    def __init__(self) -> None:
        super().__init__()
        self.hear = LogMel()
        self.gru = nn.GRU(BANDS, 12, batch_first=True)
        self.head = nn.Linear(12, 2)

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        """Scores [1, frames, 2]: none, voice."""
        return self.head(self.gru(self.hear(sound).transpose(1, 2))[0])


class Gesture(nn.Module):
    """A GRU over six axes: which gesture the last second was."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(6, 16, batch_first=True)
        self.head = nn.Linear(16, len(GESTURES))

    def forward(self, moves: torch.Tensor) -> torch.Tensor:
        """Scores [1, gestures] after the newest sample."""
        return self.head(self.gru(moves)[0][:, -1])


def trained(net: nn.Module, name: str) -> nn.Module:
    """A net with the weights that train.py left."""
    net.load_state_dict(torch.load(Path(__file__).with_name(f"{name}.pt"), weights_only=True))
    return net
