"""Large models with random weights, by name and by size: what the times of the stages are measured with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn


@dataclass(frozen=True)
class Large:
    """A model with inputs. `calibration` holds few inputs: their number is not what is measured."""

    model: nn.Module
    example_inputs: tuple[torch.Tensor, ...]

    @property
    def calibration(self) -> list[tuple[torch.Tensor, ...]]:
        """Two items of random numbers."""
        return [tuple(torch.randn(tensor.shape) for tensor in self.example_inputs) for _ in range(2)]


def wide_linear(width: int = 4000) -> Large:
    """A multilayer perceptron of width * width / 5 weights: 3.5 M for 4,000."""
    narrow = width // 5
    layers = (nn.Linear(64, width), nn.ReLU(), nn.Linear(width, narrow), nn.ReLU(), nn.Linear(narrow, 2))
    return Large(nn.Sequential(*layers), (torch.randn(1, 64),))


def chain(layers: int = 2000) -> Large:
    """Linear layers and ReLUs in turn."""
    parts: list[nn.Module] = []
    for _ in range(layers // 2):
        parts += [nn.Linear(16, 16), nn.ReLU()]
    return Large(nn.Sequential(*parts), (torch.randn(1, 16),))


class _Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.GRU(8, 16, batch_first=True, bidirectional=True)
        self.head = nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.cells(x)
        return self.head(y.mean(1))


def gru(steps: int = 1300) -> Large:
    """A bidirectional GRU over a window."""
    return Large(_Recurrent(), (torch.randn(1, steps, 8),))


class _Liquid(nn.Module):
    """Closed-form continuous-time cells, unrolled."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.backbone = nn.Linear(4 + 16, 32)
        self.first, self.second = nn.Linear(32, 16), nn.Linear(32, 16)
        self.gate, self.time = nn.Linear(32, 16), nn.Linear(32, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = torch.zeros(1, 16)
        for step in range(self.steps):
            hidden = torch.tanh(self.backbone(torch.cat([x[:, step], state], 1)))
            mix = torch.sigmoid(self.gate(hidden) + self.time(hidden))
            state = torch.tanh(self.first(hidden)) * (1 - mix) + mix * torch.tanh(self.second(hidden))
        return self.head(state)


def liquid(steps: int = 60) -> Large:
    """A liquid network of 15 operators a step."""
    return Large(_Liquid(steps), (torch.randn(1, steps, 4),))


class _Inverted(nn.Module):
    def __init__(self, inputs: int, outputs: int, expand: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = inputs * expand
        layers: list[nn.Module] = []
        if expand != 1:
            layers += [nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU6()]
        layers += [
            nn.Conv2d(inner, inner, kernel, stride, kernel // 2, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU6(),
            nn.Conv2d(inner, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.layers = nn.Sequential(*layers)
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layers(x)
        return x + y if self.skips else y


def efficientnet_lite0(size: int = 224) -> Large:
    """EfficientNet-Lite0: 4.6 M weights."""
    layers: list[nn.Module] = [nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6()]
    inputs = 32
    for expand, outputs, count, kernel, stride in (
        (1, 16, 1, 3, 1),
        (6, 24, 2, 3, 2),
        (6, 40, 2, 5, 2),
        (6, 80, 3, 3, 2),
        (6, 112, 3, 5, 1),
        (6, 192, 4, 5, 2),
        (6, 320, 1, 3, 1),
    ):
        for index in range(count):
            layers.append(_Inverted(inputs, outputs, expand, kernel, stride if index == 0 else 1))
            inputs = outputs
    layers += [nn.Conv2d(inputs, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)]
    return Large(nn.Sequential(*layers).eval(), (torch.randn(1, 3, size, size),))


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, c = x.shape
        mixed = self.mix(self.before(x)).reshape(n, t, 3, self.heads, c // self.heads)
        q, k, v = mixed.permute(2, 0, 3, 1, 4)
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + self.join(y.transpose(1, 2).reshape(n, t, c))
        return x + self.narrow(nn.functional.gelu(self.wide(self.after(x))))


class _Vit(nn.Module):
    def __init__(self, blocks: int, width: int = 96) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.place = nn.Parameter(torch.randn(1, 16, width) * 0.02)
        self.blocks = nn.Sequential(*(_Block(width, 3) for _ in range(blocks)))
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.place
        return self.head(self.blocks(x).mean(1))


def vit(blocks: int = 12) -> Large:
    """A vision transformer on 16 patches."""
    return Large(_Vit(blocks), (torch.randn(1, 3, 32, 32),))


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.SiLU(),
    )


class _Split(nn.Module):
    """Halves of the channels: one passes bottlenecks, all are joined (C2f)."""

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        half = channels // 2
        self.enter, self.leave = _conv(channels, channels, 1), _conv(half * (2 + count), channels, 1)
        self.parts = nn.ModuleList(nn.Sequential(_conv(half, half), _conv(half, half)) for _ in range(count))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = list(self.enter(x).chunk(2, 1))
        for part in self.parts:
            parts.append(parts[-1] + part(parts[-1]))
        return self.leave(torch.cat(parts, 1))


class _Yolo(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = [width, 2 * width, 4 * width, 8 * width]
        self.stem = _conv(3, width, 3, 2)
        self.down = nn.ModuleList(nn.Sequential(_conv(a, b, 3, 2), _Split(b, 2)) for a, b in pairwise(sizes))
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.pooled = _conv(4 * sizes[3], sizes[3], 1)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.middle = nn.Sequential(_conv(sizes[3] + sizes[2], sizes[2], 1), _Split(sizes[2], 1))
        self.fine = nn.Sequential(_conv(sizes[2] + sizes[1], sizes[1], 1), _Split(sizes[1], 1))
        self.heads = nn.ModuleList(
            nn.Sequential(_conv(c, c), nn.Conv2d(c, 4 + 20, 1)) for c in (sizes[1], sizes[2], sizes[3])
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        first = self.down[0](self.stem(x))
        second = self.down[1](first)
        third = self.down[2](second)
        a = self.pool(third)
        b = self.pool(a)
        third = self.pooled(torch.cat([third, a, b, self.pool(b)], 1))
        second = self.middle(torch.cat([self.up(third), second], 1))
        first = self.fine(torch.cat([self.up(second), first], 1))
        return tuple(head(y) for head, y in zip(self.heads, (first, second, third), strict=True))


def yolo(width: int = 16) -> Large:
    """A detector in the way of YOLOv8: a backbone, a neck, three heads."""
    return Large(_Yolo(width).eval(), (torch.randn(1, 3, 128, 128),))


LARGE: Mapping[str, Callable[..., Large]] = {
    made.__name__: made for made in (wide_linear, chain, gru, liquid, efficientnet_lite0, vit, yolo)
}
