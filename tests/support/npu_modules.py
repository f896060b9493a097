"""Modules that the NPU's cases are made of: many small branches in each, so that one lowering tests much."""

import random
from collections.abc import Callable
from typing import Any

Built = tuple[Any, tuple[Any, ...]]


def _branches(inputs: tuple[Any, ...], *branches: Callable[..., Any]) -> Built:
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
    return _branches((torch.randn(shape) * draw.uniform(0.5, 4) + draw.uniform(-1, 1),), *branches)


def large_kernels() -> Built:
    """Kernels of more than one 8x8 sub-kernel, and one as large as the input."""
    import torch
    from torch import nn

    return _branches(
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

    return _branches(
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
    return _branches((torch.randn(shape) * draw.uniform(0.5, 4) + draw.uniform(-1, 1),), *branches)


def transposed() -> Built:
    """Transposed convolutions."""
    import torch
    from torch import nn

    return _branches(
        (torch.randn(1, 8, 6, 5),),
        nn.ConvTranspose2d(8, 6, 2, stride=2),
        nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1),
        nn.ConvTranspose2d(8, 5, 3, stride=1),
        nn.ConvTranspose2d(8, 7, 4, stride=2, padding=1),
        nn.ConvTranspose2d(8, 3, (2, 3), stride=(2, 2), output_padding=(1, 0)),
    )


def linear() -> Built:
    """Fully connected layers, products of two inputs, one-dimensional convolutions."""
    import torch
    from torch import nn

    return _branches(
        (torch.randn(4, 24), torch.randn(24, 10)),
        lambda x, y: torch.mm(x, y),
        _First(nn.Linear(24, 33)),
        _First(nn.Linear(24, 1, bias=False)),
        _First(nn.Sequential(nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 5))),
        lambda x, y: torch.bmm(x.reshape(2, 2, 24), y.reshape(2, 24, 5)),
        _First(_Shaped(nn.Conv1d(8, 12, 3, padding=1), (1, 8, 12))),
    )


def _module(name: str) -> Any:
    import torch

    class Wrapped(torch.nn.Module):
        def __init__(self, inner: Any, shape: tuple[int, ...] | None = None) -> None:
            super().__init__()
            self.inner = inner
            self.shape = shape

        def forward(self, x: Any, *_: Any) -> Any:
            return self.inner(x if self.shape is None else x.reshape(self.shape))

    return Wrapped


def _First(inner: Any) -> Any:
    return _module("first")(inner)


def _Shaped(inner: Any, shape: tuple[int, ...]) -> Any:
    return _module("shaped")(inner, shape)


def pools() -> Built:
    """Pooling: sizes, strides, paddings, global."""
    import torch
    from torch.nn import functional as f

    return _branches(
        (torch.randn(1, 18, 13, 12),),
        lambda x: f.max_pool2d(x, 2),
        lambda x: f.max_pool2d(x, 3, stride=2, padding=1),
        lambda x: f.max_pool2d(x, (2, 3), stride=(3, 1), padding=(0, 1)),
        lambda x: f.avg_pool2d(x, 2),
        lambda x: f.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False),
        lambda x: f.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=True),
        lambda x: f.avg_pool2d(x, (1, 5), stride=(2, 3)),
        lambda x: f.adaptive_avg_pool2d(x, 1),
        lambda x: f.adaptive_avg_pool2d(x[:, :, :12, :], (4, 3)),
    )


def arithmetic() -> Built:
    """Two inputs of different scales and zero points, with broadcasts and constants."""
    import torch

    constant = torch.randn(1, 10, 1, 1)
    return _branches(
        (torch.randn(1, 10, 7, 6), torch.randn(1, 10, 7, 6) * 3 + 2),
        lambda x, y: x + y,
        lambda x, y: x - y,
        lambda x, y: x * y,
        lambda x, y: torch.minimum(x, y),
        lambda x, y: torch.maximum(x, y),
        lambda x, y: x + x,
        lambda x, y: x + 0.75,
        lambda x, y: 2.5 - x,
        lambda x, y: y * 0.3,
        lambda x, y: x + constant,
        lambda x, y: y * constant,
        lambda x, y: x + y[:, :1],
        lambda x, y: x - y[:, :, :1, :1],
        lambda x, y: y[:, :, :, :1] * x[:, :, :1, :],
        lambda x, y: torch.abs(x),
        lambda x, y: -y,
        lambda x, y: torch.relu(x + y),
    )


def activations() -> Built:
    """Functions of one tensor: clamps and tables."""
    import torch
    from torch.nn import functional as f

    return _branches(
        (torch.randn(1, 6, 8, 8) * 3,),
        torch.relu,
        lambda x: f.hardtanh(x, -0.5, 1.5),
        lambda x: torch.clamp(x, -1.0, 0.25),
        lambda x: f.leaky_relu(x, 0.1),
        torch.sigmoid,
        torch.tanh,
        f.hardswish,
        f.hardsigmoid,
        f.gelu,
        f.silu,
        f.elu,
        torch.exp,
        lambda x: torch.log(torch.sigmoid(x)),
        lambda x: torch.rsqrt(torch.sigmoid(x)),
        lambda x: torch.reciprocal(torch.sigmoid(x) + 1),
        torch.sin,
        torch.erf,
        torch.floor,
        lambda x: x**2,
    )


def movement() -> Built:
    """Data that moves: permutations, slices, joins, padding."""
    import torch
    from torch.nn import functional as f

    return _branches(
        (torch.randn(1, 8, 6, 10),),
        lambda x: x.permute(0, 2, 3, 1),
        lambda x: x.permute(0, 3, 1, 2),
        lambda x: x.permute(0, 1, 3, 2),
        lambda x: x[:, 2:6, 1:5, ::1],
        lambda x: x[:, :, ::2, 1::3],
        lambda x: torch.cat([x, x[:, :3]], 1),
        lambda x: torch.cat([x, x[:, :, :, :2]], 3),
        lambda x: f.pad(x, (1, 2, 3, 0)),
        lambda x: x.reshape(1, 16, 3, 10),
        lambda x: x.repeat(1, 2, 1, 1),
        lambda x: x[:, :1].expand(1, 5, 6, 10),
        lambda x: torch.stack([x[0, 0], x[0, 1]], 0),
        lambda x: f.pixel_shuffle(x, 2),
        lambda x: f.pixel_unshuffle(x, 2),
        lambda x: x.flatten(1),
        lambda x: x.transpose(1, 2),
    )


def reductions() -> Built:
    """Sums, means, extremes over dimensions."""
    import torch

    return _branches(
        (torch.randn(1, 9, 6, 10),),
        lambda x: x.sum(1, keepdim=True),
        lambda x: x.sum(3),
        lambda x: x.mean((2, 3), keepdim=True),
        lambda x: x.mean(1),
        lambda x: x.amax(2),
        lambda x: x.amin(3, keepdim=True),
        lambda x: torch.var(x, 3),
    )


def normalizations() -> Built:
    """Softmax, layer and group norms."""
    import torch
    from torch import nn

    return _branches(
        (torch.randn(1, 8, 6, 10) * 2,),
        lambda x: torch.softmax(x, 3),
        lambda x: torch.softmax(x, 1),
        lambda x: torch.log_softmax(x, 2),
        nn.LayerNorm(10),
        nn.GroupNorm(2, 8),
        nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)),
    )


def upsampling() -> Built:
    """Enlarging, nearest and with a convolution behind."""
    import torch
    from torch import nn
    from torch.nn import functional as f

    return _branches(
        (torch.randn(1, 6, 5, 7),),
        lambda x: f.interpolate(x[:, :5], scale_factor=2, mode="nearest"),
        nn.Sequential(nn.UpsamplingNearest2d(scale_factor=2), nn.Conv2d(6, 8, 3, padding=1)),
        lambda x: f.interpolate(x, scale_factor=4, mode="nearest"),
    )


def attention() -> Built:
    """One layer of a transformer."""
    import torch
    from torch import nn

    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
    return layer, (torch.randn(1, 12, 16),)


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

    A pool over a whole map becomes a mean, which U55 takes where it refuses so large a window.
    """
    import torch

    module = _zoo_module(name)
    first = next(iter(module.calibration))
    if isinstance(getattr(module.model, "pool", None), torch.nn.AvgPool2d):
        module.model.pool = torch.nn.AdaptiveAvgPool2d(1)
    return module.model, first if isinstance(first, tuple) else (first,)


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

    return _branches((torch.randn(1, 9, 6, 10),), lambda x: x.amin(3))


def enlarged_twice() -> Built:
    """An enlarged map that is an output and the input of a convolution."""
    import torch
    from torch import nn
    from torch.nn import functional as f

    return _branches(
        (torch.randn(1, 6, 5, 7),),
        lambda x: f.interpolate(x, scale_factor=2, mode="nearest"),
        nn.Sequential(nn.UpsamplingNearest2d(scale_factor=2), nn.Conv2d(6, 8, 3, padding=1)),
        lambda x: f.interpolate(x, scale_factor=4, mode="nearest"),
    )


def u85_only() -> Built:
    """What U85 takes and U55 refuses: comparisons, choices, resizing, shifts of the whole map."""
    import torch
    from torch.nn import functional as f

    return _branches(
        (torch.randn(1, 6, 5, 7), torch.randn(1, 6, 5, 7)),
        lambda x, y: torch.where(x > y, x, y * 0.5),
        lambda x, y: torch.where(x >= y, x, x + y),
        lambda x, y: torch.where((x > y) & (y < 0.5), x, y),
        lambda x, y: f.interpolate(x, scale_factor=2, mode="bilinear"),
        lambda x, y: f.interpolate(x, size=(9, 13), mode="bilinear", align_corners=True),
        lambda x, y: f.interpolate(y, scale_factor=2, mode="nearest"),
        lambda x, y: torch.flip(x, [2]),
        lambda x, y: torch.bmm(x[0], y[0].transpose(1, 2)),
    )


def two_linear_layers() -> Built:
    """Two linear layers, one behind the other, over four rows."""
    import torch
    from torch import nn

    return nn.Sequential(nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 5)), (torch.randn(4, 24),)
