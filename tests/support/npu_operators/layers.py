"""Layers: convolutions, products of matrices, pools, norms, attention, control flow."""

from functools import partial
from typing import Any

from tests.support.npu_modules import Built, branched, convolutions, depthwise
from tests.support.npu_operators.draw import Draw, Generator, each


def conv1d(draw: Draw) -> Built:
    from torch import nn

    channels = draw.randint(1, 20)
    layers = []
    for _ in range(3):
        size = draw.randint(1, 7)
        stride, dilation = draw.choice([(1, 1), (2, 1), (3, 1), (1, 2)])
        layers.append(
            nn.Conv1d(
                channels,
                draw.randint(1, 24),
                size,
                stride,
                draw.randint(0, size // 2),
                dilation,
                bias=draw.random() < 0.8,
            )
        )
    return each([draw.tensor(1, channels, draw.randint(15, 30)) for _ in layers], layers)


def conv3d(draw: Draw) -> Built:
    from torch import nn

    channels = draw.randint(1, 4)
    layer = nn.Conv3d(channels, draw.randint(1, 6), (2, 3, 3), padding=(0, 1, 1))
    return each([draw.tensor(1, channels, 4, 6, 5)], [layer])


def _seeded(generator: Any, draw: Draw) -> Built:
    return generator(draw.randrange(1 << 20))  # type: ignore[no-any-return]


def transpose_conv2d(draw: Draw) -> Built:
    from torch import nn

    channels = draw.randint(1, 12)
    layers = []
    for _ in range(3):
        stride = (draw.randint(1, 2), draw.randint(1, 2))
        size = (draw.randint(stride[0], 4), draw.randint(stride[1], 4))
        padding = (draw.randint(0, (size[0] - 1) // 2), draw.randint(0, (size[1] - 1) // 2))
        layers.append(nn.ConvTranspose2d(channels, draw.randint(1, 9), size, stride, padding))
    shapes = [(1, channels, draw.randint(3, 7), draw.randint(3, 7)) for _ in layers]
    return each([draw.tensor(*shape) for shape in shapes], layers)


def linear(draw: Draw) -> Built:
    from torch import nn

    rows, inputs = draw.randint(1, 5), draw.randint(1, 40)
    layers = [nn.Linear(inputs, draw.randint(1, 40), bias=draw.random() < 0.8) for _ in range(3)]
    return each([draw.tensor(rows, inputs), draw.tensor(1, inputs), draw.tensor(2, rows, inputs)], layers)


def mm(draw: Draw) -> Built:
    import torch

    m, k, n = (draw.randint(1, 20) for _ in range(3))
    return branched((draw.tensor(m, k), draw.tensor(k, n)), torch.mm)


def bmm(draw: Draw) -> Built:
    import torch

    b, m, k, n = (draw.randint(1, 12) for _ in range(4))
    return branched((draw.tensor(b, m, k), draw.tensor(b, k, n)), torch.bmm)


def matmul(draw: Draw) -> Built:
    import torch

    b, m, k, n = (draw.randint(1, 12) for _ in range(4))
    return branched(
        (draw.tensor(1, b, m, k), draw.tensor(1, b, k, n), draw.tensor(1, b, n, k)),
        lambda x, y, z: torch.matmul(x, y),
        lambda x, y, z: x @ z.transpose(2, 3),
    )


def _pool_shape(draw: Draw) -> tuple[int, ...]:
    return (1, draw.randint(1, 20), draw.randint(7, 14), draw.randint(7, 14))


def avg_pool2d(draw: Draw) -> Built:
    from torch import nn

    layers = []
    for _ in range(3):
        size = (draw.randint(1, 5), draw.randint(1, 5))
        stride = (draw.randint(1, 3), draw.randint(1, 3))
        padding = (draw.randint(0, size[0] // 2), draw.randint(0, size[1] // 2))
        layers.append(nn.AvgPool2d(size, stride, padding, count_include_pad=draw.random() < 0.5))
    return each([draw.tensor(*_pool_shape(draw)) for _ in layers], layers)


def adaptive_avg_pool2d(draw: Draw) -> Built:
    from torch import nn

    sides = [draw.randint(1, 4) for _ in range(2)]
    shapes = [_pool_shape(draw), (1, draw.randint(1, 9), sides[0] * 3, sides[1] * 2)]
    return each(
        [draw.tensor(*shape) for shape in shapes],
        [nn.AdaptiveAvgPool2d(1), nn.AdaptiveAvgPool2d((sides[0], sides[1]))],
    )


def max_pool2d(draw: Draw) -> Built:
    from torch import nn

    layers = []
    for _ in range(3):
        size = (draw.randint(1, 5), draw.randint(1, 5))
        stride = (draw.randint(1, 3), draw.randint(1, 3))
        padding = (draw.randint(0, size[0] // 2), draw.randint(0, size[1] // 2))
        layers.append(nn.MaxPool2d(size, stride, padding))
    return each([draw.tensor(*_pool_shape(draw)) for _ in layers], layers)


def max_pool1d(draw: Draw) -> Built:
    from torch import nn

    size = draw.randint(2, 5)
    layer = nn.MaxPool1d(size, draw.randint(1, 3), draw.randint(0, size // 2))
    return each([draw.tensor(1, draw.randint(1, 20), draw.randint(9, 20))], [layer])


def upsample_nearest2d(draw: Draw) -> Built:
    from torch.nn import functional as f

    shapes = [(1, draw.randint(1, 12), draw.randint(2, 7), draw.randint(2, 7)) for _ in range(2)]
    return each(
        [draw.tensor(*shape) for shape in shapes],
        [
            lambda x: f.interpolate(x, scale_factor=2, mode="nearest"),
            lambda x: f.interpolate(x, scale_factor=4, mode="nearest"),
        ],
    )


def upsample_bilinear2d(draw: Draw) -> Built:
    from torch.nn import functional as f

    shapes = [(1, draw.randint(1, 12), draw.randint(2, 7), draw.randint(2, 7)) for _ in range(2)]
    size = (2 * shapes[1][2] - 1, 2 * shapes[1][3] - 1)
    return each(
        [draw.tensor(*shape) for shape in shapes],
        [
            lambda x: f.interpolate(x, scale_factor=2, mode="bilinear"),
            lambda x: f.interpolate(x, size=size, mode="bilinear", align_corners=True),
        ],
    )


def batch_norm(draw: Draw) -> Built:
    import torch
    from torch import nn

    channels = draw.randint(2, 20)
    norms = []
    for _ in range(2):
        norm = nn.BatchNorm2d(channels)
        norm.running_mean = torch.randn(channels)
        norm.running_var = torch.rand(channels) + 0.5
        norms.append(norm)
    shape = (1, channels, draw.randint(3, 9), draw.randint(3, 9))
    return each(
        [draw.tensor(*shape) for _ in norms],
        [norms[0], nn.Sequential(nn.Conv2d(channels, channels, 1), norms[1])],
    )


def layer_norm(draw: Draw) -> Built:
    from torch import nn

    shape = draw.shape(3)
    return each([draw.tensor(*shape)], [nn.LayerNorm(shape[-1])])


def group_norm(draw: Draw) -> Built:
    from torch import nn

    groups = draw.randint(1, 3)
    channels = groups * draw.randint(2, 5)
    return each(
        [draw.tensor(1, channels, draw.randint(3, 7), draw.randint(3, 7))], [nn.GroupNorm(groups, channels)]
    )


def softmax(draw: Draw) -> Built:
    import torch

    shapes = [draw.shape(2), draw.shape(4)]
    axis = draw.axis(shapes[1])
    return each(
        [draw.tensor(*shape) for shape in shapes],
        [lambda x: torch.softmax(x, 1), lambda x: torch.softmax(x, axis)],
    )


def logsoftmax(draw: Draw) -> Built:
    import torch

    return each([draw.tensor(*draw.shape(3))], [lambda x: torch.log_softmax(x, 2)])


def sdpa(draw: Draw) -> Built:
    from torch.nn import functional as f

    shape = (1, draw.randint(1, 3), draw.randint(3, 8), draw.randint(2, 8))
    return branched(tuple(draw.tensor(*shape) for _ in range(3)), f.scaled_dot_product_attention)


def multihead_attention(draw: Draw) -> Built:
    from torch import nn

    heads = draw.randint(1, 3)
    layer = nn.MultiheadAttention(heads * 4, heads, batch_first=True)
    shape = (1, draw.randint(3, 8), heads * 4)
    return branched(tuple(draw.tensor(*shape) for _ in range(3)), _Attention(layer))


def _Attention(layer: Any) -> Any:
    import torch

    class Attention(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, q: Any, k: Any, v: Any) -> Any:
            return self.layer(q, k, v)[0]

    return Attention()


def cond(draw: Draw) -> Built:
    import torch

    shape = (draw.randint(2, 6), draw.randint(2, 9))
    return each([draw.tensor(*shape)], [lambda x: torch.cond(x.sum() > 0, torch.sin, torch.cos, [x])])


def while_loop(draw: Draw) -> Built:
    import torch

    def body(x: Any) -> tuple[Any, ...]:
        return (x + x,)

    return each(
        [draw.tensor(draw.randint(2, 6), low=0.2, high=1)],
        [lambda x: torch.ops.higher_order.while_loop(lambda x: (x.sum() < 30).squeeze(), body, (x,), ())[0]],
    )


GENERATORS: dict[str, Generator] = {
    "adaptive_avg_pool2d": adaptive_avg_pool2d,
    "avg_pool2d": avg_pool2d,
    "batch_norm": batch_norm,
    "bmm": bmm,
    "cond": cond,
    "conv1d": conv1d,
    "conv2d": partial(_seeded, convolutions),
    "conv3d": conv3d,
    "depthwise_conv": partial(_seeded, depthwise),
    "group_norm": group_norm,
    "layer_norm": layer_norm,
    "linear": linear,
    "logsoftmax": logsoftmax,
    "matmul": matmul,
    "max_pool1d": max_pool1d,
    "max_pool2d": max_pool2d,
    "mm": mm,
    "multihead_attention": multihead_attention,
    "sdpa": sdpa,
    "softmax": softmax,
    "transpose_conv2d": transpose_conv2d,
    "upsample_bilinear2d": upsample_bilinear2d,
    "upsample_nearest2d": upsample_nearest2d,
    "while": while_loop,
}
