"""Pictures of 64x64 grey pixels, made up: a standing figure, or other things, with noise."""

import torch

SIZE = 64
_Y, _X = torch.meshgrid(torch.arange(SIZE) + 0.5, torch.arange(SIZE) + 0.5, indexing="ij")


def _ellipse(x: float, y: float, wide: float, high: float) -> torch.Tensor:
    return ((_X - x) / wide) ** 2 + ((_Y - y) / high) ** 2 < 1


def _box(x: float, y: float, wide: float, high: float) -> torch.Tensor:
    return ((_X - x).abs() < wide) & ((_Y - y).abs() < high)


def _figure(dice: torch.Generator) -> torch.Tensor:
    """A head, a body and two legs."""
    unit = 2.2 + 1.6 * _random(dice)
    x, y = 16 + 32 * _random(dice), 10 * unit - 12 + 14 * _random(dice)
    parts = [
        _ellipse(x, y - 6.2 * unit, 1.2 * unit, 1.5 * unit),
        _ellipse(x, y - 2 * unit, 2 * unit, 3 * unit),
        _box(x - 0.9 * unit, y + 2.5 * unit, 0.6 * unit, 3.2 * unit),
        _box(x + 0.9 * unit, y + 2.5 * unit, 0.6 * unit, 3.2 * unit),
    ]
    return torch.stack(parts).any(0)


def _things(dice: torch.Generator) -> torch.Tensor:
    """Up to three boxes and ellipses, wherever they fall."""
    parts = []
    for _ in range(1 + int(3 * _random(dice))):
        shape = _box if _random(dice) < 0.5 else _ellipse
        x, y, wide, high = (
            SIZE * _random(dice),
            SIZE * _random(dice),
            2 + 12 * _random(dice),
            2 + 12 * _random(dice),
        )
        parts.append(shape(x, y, wide, high))
    return torch.stack(parts).any(0)


def _random(dice: torch.Generator) -> float:
    return float(torch.rand((), generator=dice))


def pictures(count: int, seed: int) -> list[tuple[torch.Tensor, int]]:
    """Labelled pictures: ([1, 1, SIZE, SIZE] from 0 to 1, 1 with a person and 0 without)."""
    dice = torch.Generator().manual_seed(seed)
    made = []
    for index in range(count):
        dark, light = 0.1 + 0.3 * _random(dice), 0.6 + 0.4 * _random(dice)
        if _random(dice) < 0.5:
            dark, light = light, dark
        what = _figure(dice) if index % 2 else _things(dice)
        picture = torch.where(what, light, dark) + 0.04 * torch.randn(SIZE, SIZE, generator=dice)
        made.append((picture.clamp(0, 1)[None, None], index % 2))
    return made
