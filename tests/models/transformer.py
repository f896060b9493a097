"""A two-layer transformer encoder on 16 positions of width 32, attention written out, to eight classes."""

import math

import torch
from _inputs import labelled, series
from _weights import varied
from torch import nn

LENGTH, WIDTH, HEADS = 16, 32, 2


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.value, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (self._heads(part(x)) for part in (self.query, self.key, self.value))
        mixed = torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(WIDTH // HEADS), dim=-1) @ v
        return self.out(mixed.transpose(1, 2).reshape(1, LENGTH, WIDTH))

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(1, LENGTH, HEADS, WIDTH // HEADS).transpose(1, 2)


class _Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = _Attention()
        self.norm_1, self.norm_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.feed_forward = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm_1(x))
        return x + self.feed_forward(self.norm_2(x))


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(_Layer(), _Layer())
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.layers(x)).mean(dim=1))


def _sequences(count: int, seed: int) -> list[torch.Tensor]:
    return [line.transpose(1, 2).contiguous() for line in series(count, WIDTH, LENGTH, seed)]


model = varied(Encoder()).eval()
weights_source = "seeded random"
example_inputs = (torch.zeros(1, LENGTH, WIDTH),)
calibration = _sequences(32, seed=1)
evaluation = labelled(model, _sequences(12, seed=2))
