"""Modules that the NPU's cases are made of: many small branches in each, so that one lowering tests much."""

from typing import Any

Built = tuple[Any, tuple[Any, ...]]


def _branches(inputs: tuple[Any, ...], branches: dict[str, Any]) -> Built:
    """A module that applies every branch to the inputs and returns all results."""
    import torch

    class Branches(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.owned = torch.nn.ModuleList(b for b in branches.values() if isinstance(b, torch.nn.Module))

        def forward(self, *tensors: Any) -> Any:
            return tuple(branch(*tensors) for branch in branches.values())

    return Branches(), inputs


def starter() -> Built:
    """A convolution, a depthwise one, an average and an elementwise operator after it."""
    import torch
    from torch import nn

    class Starter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 16, 3, padding=1)
            self.second = nn.Conv2d(16, 16, 3, padding=1, groups=16, stride=2)

        def forward(self, x: Any) -> Any:
            y = torch.relu(self.first(x))
            return self.second(y), nn.functional.avg_pool2d(y, 2), y + y * 2

    return Starter(), (torch.randn(1, 3, 16, 16),)
