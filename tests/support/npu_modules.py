"""Modules that the NPU's cases are made of: many small branches in each, so that one lowering tests much."""

import random
from collections.abc import Callable
from typing import Any

Built = tuple[Any, tuple[Any, ...]]


def branched(inputs: tuple[Any, ...], *branches: Callable[..., Any]) -> Built:
    """A module that applies every branch to the inputs and returns all results."""
    import torch

    class Branches(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.owned = torch.nn.ModuleList(b for b in branches if isinstance(b, torch.nn.Module))

        def forward(self, *tensors: Any) -> Any:
            return tuple(branch(*tensors) for branch in branches)

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


def convolutions(seed: int, count: int = 6) -> Built:
    """Convolutions of one input: sizes, strides, paddings, dilations, with and without bias."""
    import torch

    draw = random.Random(seed)
    channels = draw.choice([1, 2, 3, 5, 8, 16, 17, 24, 33, 40])
    branches = []
    for _ in range(count):
        size = (draw.randint(1, 5), draw.randint(1, 5))
        options = {
            "stride": (draw.randint(1, 3), draw.randint(1, 3)),
            "padding": (draw.randint(0, size[0] // 2), draw.randint(0, size[1] // 2)),
            "dilation": (1, 1) if draw.random() < 0.6 else (2, 2),
            "bias": draw.random() < 0.8,
        }
        options["stride"] = options["stride"] if options["dilation"] == (1, 1) else (1, 1)
        branches.append(torch.nn.Conv2d(channels, draw.choice([1, 4, 7, 16, 19, 40]), size, **options))
    shape = (1, channels, draw.randint(9, 14), draw.randint(9, 14))
    return branched((torch.randn(shape) * draw.uniform(0.5, 4) + draw.uniform(-1, 1),), *branches)


def large_kernels() -> Built:
    """Kernels of more than one 8x8 sub-kernel, and one as large as the input."""
    import torch
    from torch import nn

    return branched(
        (torch.randn(1, 6, 20, 20),),
        nn.Conv2d(6, 9, (9, 3)),
        nn.Conv2d(6, 5, (3, 11), padding=(1, 5)),
        nn.Conv2d(6, 8, (10, 9), stride=2),
        nn.Conv2d(6, 12, 20),
        nn.Conv2d(6, 6, (9, 10), groups=6, padding=4),
    )


def many_channels() -> Built:
    """Channels that take several blocks, and several slices of weights."""
    import torch
    from torch import nn

    return branched(
        (torch.randn(1, 72, 6, 7),),
        nn.Conv2d(72, 200, 1),
        nn.Conv2d(72, 136, 3, padding=1),
        nn.Conv2d(72, 96, (1, 3), stride=(2, 1)),
        nn.Conv2d(72, 72, 3, groups=72, padding=1),
        nn.Conv2d(72, 36, 3, groups=2, padding=1),
    )


def depthwise(seed: int, count: int = 5) -> Built:
    """Depthwise and grouped convolutions of one input."""
    import torch

    draw = random.Random(seed)
    channels = draw.choice([2, 4, 8, 12, 16, 18, 40])
    branches = []
    for _ in range(count):
        size = (draw.randint(1, 5), draw.randint(1, 5))
        multiplier = draw.choice([1, 1, 1, 2])
        options = {
            "stride": (draw.randint(1, 3), draw.randint(1, 3)),
            "padding": (draw.randint(0, size[0] // 2), draw.randint(0, size[1] // 2)),
            "groups": draw.choice([channels, channels, channels, 2]),
        }
        if multiplier > 1:
            # Vela 5.1 loses the left padding of these: test_vela_defects.py.
            options["padding"] = 0
        branches.append(torch.nn.Conv2d(channels, channels * multiplier, size, **options))
    shape = (1, channels, draw.randint(9, 14), draw.randint(9, 14))
    return branched((torch.randn(shape) * draw.uniform(0.5, 4) + draw.uniform(-1, 1),), *branches)


def _zoo_module(name: str) -> Any:
    import importlib
    import sys
    from pathlib import Path

    folder = str(Path(__file__).parents[1] / "models")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)


def zoo(name: str) -> Built:
    """A model of tests/models.

    A pool over a whole map becomes a mean, which U55 takes where it refuses so large a window. A trained
    net of two classes is sure of the same one for all noise: its features are compared, which vary.
    """
    import copy

    import torch

    module = _zoo_module(name)
    first = next(iter(module.calibration))
    model = copy.deepcopy(module.model)
    if isinstance(getattr(model, "pool", None), torch.nn.AvgPool2d):
        model.pool = torch.nn.AdaptiveAvgPool2d(1)
    if name == "mobilenet_v1_025":
        model.head = torch.nn.Identity()
    return model, first if isinstance(first, tuple) else (first,)


def mobilenet_v2() -> Built:
    """MobileNetV2 at width 1 on 224x224 images to 1000 classes, weights random, norms of random images."""
    import torch

    module = _zoo_module("mobilenet_v2_035")
    module.WIDTH = 1.0
    net = module._steady(module.MobileNetV2(1000)).train()
    with torch.no_grad():
        for _ in range(3):
            net(torch.randn(4, 3, 224, 224))
    module.WIDTH = 0.35
    return net.eval(), (torch.randn(1, 3, 224, 224),)


def padded_depth_multiplier() -> Built:
    """A depthwise convolution with two outputs a channel and padding on the left."""
    import torch

    return torch.nn.Conv2d(8, 16, (5, 4), stride=(3, 2), padding=(0, 2), groups=8), (
        torch.randn(1, 8, 9, 14),
    )


def least_of_last_dimension() -> Built:
    """The least values of a dimension that goes away."""
    import torch

    return branched((torch.randn(1, 9, 6, 10),), lambda x: x.amin(3))


def enlarged_twice() -> Built:
    """An enlarged map that is an output and the input of a convolution."""
    import torch
    from torch import nn
    from torch.nn import functional as f

    return branched(
        (torch.randn(1, 6, 5, 7),),
        lambda x: f.interpolate(x, scale_factor=2, mode="nearest"),
        nn.Sequential(nn.UpsamplingNearest2d(scale_factor=2), nn.Conv2d(6, 8, 3, padding=1)),
        lambda x: f.interpolate(x, scale_factor=4, mode="nearest"),
    )


def two_linear_layers() -> Built:
    """Two linear layers, one behind the other, over four rows."""
    import torch
    from torch import nn

    return nn.Sequential(nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 5)), (torch.randn(4, 24),)


def residual(order: tuple[int, ...] = ()) -> Built:
    """A convolution that an addition and the next layer read, with `order` in another order of axes."""
    import torch
    from torch import nn

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(6, 7, 3), nn.Conv2d(7, 7, 3, padding=1)

        def forward(self, x: Any) -> Any:
            y = self.first(x)
            y = y.permute(order) if order else y
            return y + self.second(y)

    return Residual(), (torch.randn(1, 6, 9, 9),)
