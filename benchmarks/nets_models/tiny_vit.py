"""A small vision transformer: 32x32 colours, 64 patches, width 48, three heads, two layers, ten classes."""

import math

import torch
from torch import nn

torch.manual_seed(0)
SIDE, PATCH, WIDTH, HEADS, CLASSES = 32, 4, 48, 3, 10
PATCHES = (SIDE // PATCH) ** 2


class Attention(nn.Module):
    """Softmax of the products of queries and keys, over the values; written out."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[1, PATCHES, WIDTH] → the same."""
        q, k, v = (self._heads(part(x)) for part in (self.query, self.key, self.value))
        scores = torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(WIDTH // HEADS), dim=-1)
        return self.out((scores @ v).transpose(1, 2).reshape(1, PATCHES, WIDTH))

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(1, PATCHES, HEADS, WIDTH // HEADS).transpose(1, 2)


class Layer(nn.Module):
    """Attention and a feed-forward net of twice the width, each around a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.norms = nn.ModuleList([nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)])
        self.feed_forward = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[1, PATCHES, WIDTH] → the same."""
        x = x + self.attention(self.norms[0](x))
        return x + self.feed_forward(self.norms[1](x))


class Net(nn.Module):
    """Patches by a convolution, places learned, the mean over patches at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.places = nn.Parameter(0.1 * torch.randn(1, PATCHES, WIDTH))
        self.layers = nn.Sequential(Layer(), Layer())
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[1, 3, SIDE, SIDE] → [1, CLASSES]."""
        y = self.patches(x).flatten(2).transpose(1, 2) + self.places
        return self.head(self.norm(self.layers(y)).mean(dim=1))


model = Net().eval()
calibration = [torch.randn(1, 3, SIDE, SIDE) for _ in range(4)]
example_inputs = (calibration[0],)
