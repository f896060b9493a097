"""Small models, each for one thing that has to stay int8."""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import nn

from tests.support.lowering import Function

Case = Callable[[], tuple[nn.Module, tuple[torch.Tensor, ...]]]


def _image(*sizes: int) -> torch.Tensor:
    return torch.randn(*sizes).to(memory_format=torch.channels_last)


def _on(function: Callable[..., object], *sizes: tuple[int, ...], **modules: object) -> Case:
    def make() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
        torch.manual_seed(3)
        built = {
            name: value() if callable(value) and not isinstance(value, nn.Module | torch.Tensor) else value
            for name, value in modules.items()
        }
        inputs = tuple(_image(*size) if len(size) == 4 else torch.randn(*size) for size in sizes)
        return Function(function, **built), inputs

    return make


def _layer(make_layer: Callable[[], nn.Module], *size: int) -> Case:
    return _on(lambda m, x: m.layer(x), size, layer=make_layer)


def _attention(m: nn.Module, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return torch.softmax(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, dim=-1) @ v


class _Heads(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, length, width = x.shape
        q, k, v = self.qkv(x).reshape(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-2, -1)) * (width // self.heads) ** -0.5
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(n, length, width))


class _SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.down, self.up = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        return y * F.hardsigmoid(self.up(F.relu(self.down(y.mean((2, 3), keepdim=True)))))


_FUNCTIONS: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = (
    F.leaky_relu,
    F.elu,
    torch.exp,
    F.hardswish,
    F.hardsigmoid,
    F.relu6,
    F.gelu,
    F.silu,
    torch.tanh,
    F.softplus,
    F.mish,
    lambda x: torch.sqrt(x.abs()),
    lambda x: torch.where(x > 0, x, 0.1 * x),
    lambda x: x * F.relu6(x + 3) / 6,
    lambda x: x**2,
    lambda x: x.clamp(-0.2, 0.3),
    lambda x: x.clamp_min(-0.1),
)


def _functions(m: Function, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    y = m.a(x)
    return tuple(m.b(function(y)) for function in _FUNCTIONS)


CASES: Mapping[str, Case] = {
    # Attention: upstream's AtenToCortexMPass meets int8 and int32 at the second product.
    "attention": _on(_attention, (2, 5, 8), (2, 5, 8), (2, 5, 8)),
    "attention, heads": _on(_attention, (1, 2, 6, 4), (1, 2, 6, 4), (1, 2, 6, 4)),
    "attention, one head": _on(_attention, (1, 1, 6, 4), (1, 1, 6, 4), (1, 1, 6, 4)),
    "attention, lengths differ": _on(_attention, (3, 4, 8), (3, 7, 8), (3, 7, 5)),
    "attention, projections": _layer(lambda: _Heads(8, 2), 1, 6, 8),
    "attention, torch's": _on(
        lambda m, q, k, v: F.scaled_dot_product_attention(q, k, v), (1, 2, 6, 4), (1, 2, 6, 4), (1, 2, 6, 4)
    ),
    "attention, causal": _on(
        lambda m, q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        (2, 6, 4),
        (2, 6, 4),
        (2, 6, 4),
    ),
    "attention, nn.Multihead": _on(
        lambda m, x: m.layer(x, x, x, need_weights=False)[0],
        (1, 6, 8),
        layer=lambda: nn.MultiheadAttention(8, 2, batch_first=True),
    ),
    "matmul, broadcast": _on(lambda m, a, b: a @ b, (2, 3, 4, 5), (1, 3, 5, 6)),
    "matmul, plain": _on(lambda m, a, b: a @ b, (4, 5), (5, 6)),
    "matmul, constant": _on(lambda m, a: a @ m.weight, (2, 4, 5), weight=lambda: torch.randn(5, 3)),
    # Convolutions.
    "conv, dilated": _layer(lambda: nn.Conv2d(3, 5, 3, dilation=2, padding=2), 1, 3, 9, 7),
    "conv, dilated depthwise": _layer(lambda: nn.Conv2d(4, 8, 3, dilation=(1, 3), groups=4), 1, 4, 9, 9),
    "conv, strided": _layer(lambda: nn.Conv2d(3, 8, (5, 3), stride=(2, 3), padding=(2, 0)), 1, 3, 11, 13),
    "conv, grouped": _layer(lambda: nn.Conv2d(6, 4, 3, groups=2, bias=False), 2, 6, 5, 5),
    "conv, one channel": _layer(lambda: nn.Conv2d(1, 6, 3, padding=1), 1, 1, 8, 8),
    "conv, contiguous input": lambda: (nn.Conv2d(3, 4, 3), (torch.randn(1, 3, 8, 8),)),
    "conv, same padding": _layer(lambda: nn.Conv2d(3, 4, (2, 3), padding="same"), 1, 3, 7, 6),
    "conv, hardtanh": _on(
        lambda m, x: F.hardtanh(m.layer(x) * 1.0, -0.3, 0.4), (1, 3, 6, 6), layer=lambda: nn.Conv2d(3, 4, 3)
    ),
    "conv, fused hardtanh": _on(
        lambda m, x: F.hardtanh(m.layer(x), -0.3, 0.4), (1, 3, 6, 6), layer=lambda: nn.Conv2d(3, 4, 3)
    ),
    "conv, relu in place": _layer(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1), nn.ReLU6()),
        1,
        3,
        6,
        6,
    ),
    "conv, flattened": _layer(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(64, 5)), 1, 3, 6, 6
    ),
    "conv1d": _layer(
        lambda: nn.Sequential(
            nn.Conv1d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv1d(8, 4, 5, stride=2, dilation=2)
        ),
        1,
        3,
        20,
    ),
    "transposed conv": _layer(lambda: nn.ConvTranspose2d(3, 5, 2, stride=2), 1, 3, 5, 4),
    "transposed conv, relu": _layer(
        lambda: nn.Sequential(nn.ConvTranspose2d(3, 5, 3, stride=2, padding=1), nn.ReLU()), 1, 3, 5, 4
    ),
    "transposed conv, output padding": _layer(
        lambda: nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1), 1, 3, 5, 4
    ),
    "transposed conv, groups": _layer(
        lambda: nn.ConvTranspose2d(4, 4, 4, stride=2, padding=1, groups=4), 1, 4, 5, 5
    ),
    "transposed conv, dilation": _layer(
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=(1, 2), dilation=2, groups=2), 1, 4, 5, 5
    ),
    "transposed conv1d": _layer(lambda: nn.ConvTranspose1d(3, 4, 4, stride=2, padding=1), 1, 3, 9),
    "batch norm alone": _layer(lambda: nn.Sequential(_bn(3), nn.Conv2d(3, 4, 1)), 1, 3, 6, 6),
    "batch norm, relu": _layer(lambda: nn.Sequential(_bn(3), nn.ReLU()), 1, 3, 6, 6),
    # Linear.
    "linear, 3-D": _layer(lambda: nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 3)), 2, 5, 6),
    "linear, 4-D": _layer(lambda: nn.Sequential(nn.Linear(6, 8, bias=False), nn.ReLU()), 1, 2, 5, 6),
    # Moving elements.
    "concatenation": _on(
        lambda m, x: torch.cat([m.a(x), m.b(x)], 1),
        (1, 3, 6, 6),
        a=lambda: nn.Conv2d(3, 4, 1),
        b=lambda: nn.Conv2d(3, 5, 1),
    ),
    "concatenation, with relu": _on(
        lambda m, x: m.b(F.relu(torch.cat([m.a(x), x], 1))),
        (1, 3, 6, 6),
        a=lambda: nn.Conv2d(3, 4, 1),
        b=lambda: nn.Conv2d(7, 5, 1),
    ),
    "stack": _on(
        lambda m, x: m.b(torch.stack([m.a(x), x], 1)),
        (2, 6),
        a=lambda: nn.Linear(6, 6),
        b=lambda: nn.Linear(6, 3),
    ),
    "permute": _on(
        lambda m, x: m.b(m.a(x).permute(0, 2, 3, 1)),
        (1, 3, 6, 5),
        a=lambda: nn.Conv2d(3, 4, 1),
        b=lambda: nn.Linear(4, 3),
    ),
    "transpose, back": _on(
        lambda m, x: m.b(m.a(x).transpose(1, 2)).transpose(1, 2),
        (2, 5, 6),
        a=lambda: nn.Linear(6, 6),
        b=lambda: nn.Linear(5, 4),
    ),
    "slice and split": _on(
        lambda m, x: m.b(torch.cat([p * 1.0 for p in m.a(x).chunk(3, -1)][::-1], -1)[:, 1:4, ::2]),
        (2, 5, 6),
        a=lambda: nn.Linear(6, 6),
        b=lambda: nn.Linear(3, 4),
    ),
    "slice of channels": _on(
        lambda m, x: m.b(m.a(x)[:, 1:5, ::2, 1:]),
        (1, 3, 6, 6),
        a=lambda: nn.Conv2d(3, 6, 1),
        b=lambda: nn.Conv2d(4, 4, 1),
    ),
    "select": _on(
        lambda m, x: m.b(m.a(x)[:, 0]), (2, 5, 6), a=lambda: nn.Linear(6, 6), b=lambda: nn.Linear(6, 4)
    ),
    "squeeze and expand": _on(
        lambda m, x: m.b(m.a(x).unsqueeze(1).expand(-1, 3, -1).squeeze(0)),
        (1, 6),
        a=lambda: nn.Linear(6, 6),
        b=lambda: nn.Linear(6, 4),
    ),
    "pad": _on(
        lambda m, x: m.b(F.pad(m.a(x), (1, 2, 0, 1), value=0.5)),
        (1, 3, 6, 6),
        a=lambda: nn.Conv2d(3, 4, 1),
        b=lambda: nn.Conv2d(4, 4, 3),
    ),
    "upsample": _on(
        lambda m, x: m.b(F.interpolate(m.a(x), scale_factor=2)),
        (1, 3, 4, 5),
        a=lambda: nn.Conv2d(3, 4, 1),
        b=lambda: nn.Conv2d(4, 2, 3),
    ),
    "pixel shuffle": _on(lambda m, x: F.pixel_shuffle(m.a(x), 2), (1, 3, 4, 5), a=lambda: nn.Conv2d(3, 8, 1)),
    "maximum": _on(lambda m, x: torch.maximum(m.a(x), x), (2, 6), a=lambda: nn.Linear(6, 6)),
    "repeat": _on(lambda m, x: m.a(x).repeat(2, 3), (2, 6), a=lambda: nn.Linear(6, 4)),
    # Means and pools.
    "mean, plane": _on(
        lambda m, x: m.b(m.a(x).mean((2, 3))),
        (1, 3, 6, 6),
        a=lambda: nn.Conv2d(3, 4, 1),
        b=lambda: nn.Linear(4, 2),
    ),
    "mean, channels": _on(
        lambda m, x: m.a(x).mean(1, keepdim=True), (1, 3, 6, 6), a=lambda: nn.Conv2d(3, 4, 1)
    ),
    "mean, time": _on(
        lambda m, x: m.b(m.a(x).mean(1)), (2, 7, 6), a=lambda: nn.Linear(6, 6), b=lambda: nn.Linear(6, 4)
    ),
    "mean, last": _on(lambda m, x: m.a(x).mean(-1), (2, 7, 6), a=lambda: nn.Linear(6, 6)),
    "mean, apart": _on(lambda m, x: m.a(x).mean((0, 2)), (2, 7, 6), a=lambda: nn.Linear(6, 6)),
    "mean, all": _on(lambda m, x: m.a(x).relu().mean(), (2, 7, 6), a=lambda: nn.Linear(6, 6)),
    "sum": _on(lambda m, x: m.a(x).sum(-1), (2, 7, 6), a=lambda: nn.Linear(6, 6)),
    "average pool": _layer(lambda: nn.AvgPool2d(3, 2, 1), 1, 4, 9, 9),
    "average pool, no padding in count": _layer(
        lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False, ceil_mode=True), 1, 4, 8, 8
    ),
    "adaptive pool": _layer(lambda: nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()), 1, 4, 8, 6),
    "pool1d": _layer(lambda: nn.Sequential(nn.Conv1d(3, 4, 3), nn.MaxPool1d(2), nn.AvgPool1d(2)), 1, 3, 18),
    "max pool, then relu": _layer(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.ReLU()), 1, 3, 8, 8
    ),
    "max pool, large": _layer(lambda: nn.MaxPool2d(3, 2, 1), 1, 2, 17, 17),
    # Element by element.
    "squeeze-excite": _layer(lambda: _SqueezeExcite(6), 1, 6, 5, 5),
    "add, broadcast": _on(lambda m, x, y: x + y, (2, 5, 6), (6,)),
    "mul, broadcast": _on(lambda m, x, y: x * y, (1, 4, 5, 6), (1, 4, 1, 6)),
    "add, constant": _on(
        lambda m, x: m.a(x) + m.position,
        (1, 5, 6),
        a=lambda: nn.Linear(6, 6),
        position=lambda: torch.randn(1, 5, 6),
    ),
    "mul, constant row": _on(
        lambda m, x: m.a(x) * m.factor, (1, 5, 6), a=lambda: nn.Linear(6, 6), factor=lambda: torch.randn(6)
    ),
    "div, constant": _on(
        lambda m, x: m.a(x) / m.factor, (1, 5, 6), a=lambda: nn.Linear(6, 6), factor=lambda: torch.rand(6) + 1
    ),
    "div": _on(lambda m, x, y: x / (y.abs() + 1), (2, 6), (2, 6)),
    "scalars": _on(lambda m, x: 1 - (m.a(x) * 0.5 + 1) / 3 - 0.25, (2, 6), a=lambda: nn.Linear(6, 6)),
    "rsub, neg, abs": _on(
        lambda m, x: m.b(-torch.rsub(m.a(x), 1).abs()),
        (2, 6),
        a=lambda: nn.Linear(6, 6),
        b=lambda: nn.Linear(6, 4),
    ),
    "sub": _on(lambda m, x, y: F.relu(x - y), (2, 6), (2, 6)),
    "add, then relu": _on(lambda m, x: F.relu(m.a(x) + x), (1, 3, 5, 5), a=lambda: nn.Conv2d(3, 3, 1)),
    "same operand": _on(lambda m, x: x * x + x, (2, 6)),
    "swish by hand": _on(lambda m, x: m.a(x) * torch.sigmoid(m.a(x)), (2, 6), a=lambda: nn.Linear(6, 6)),
    "functions": _on(_functions, (1, 3, 4, 4), a=lambda: nn.Conv2d(3, 4, 1), b=lambda: nn.Conv2d(4, 2, 1)),
    # Softmax.
    "glu": _on(lambda m, x: F.glu(m.a(F.glu(x, 1)), -1), (2, 6, 5), a=lambda: nn.Linear(5, 8)),
    "unfold": _on(lambda m, x: m.a(x.unfold(1, 4, 2)), (1, 10, 3), a=lambda: nn.Linear(4, 2)),
    "softmax": _on(lambda m, x: torch.softmax(x, -1), (3, 10)),
    "softmax, middle": _on(lambda m, x: torch.softmax(x, 1), (2, 5, 6)),
    "softmax, channels": _on(lambda m, x: m.a(x).softmax(1), (1, 3, 5, 4), a=lambda: nn.Conv2d(3, 4, 1)),
    "softmax, read twice": _on(lambda m, x: torch.cat([x.softmax(-1), x.softmax(-1) * x], -1), (3, 10)),
}


def _bn(channels: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels)
    with torch.no_grad():
        layer.running_mean.uniform_(-1, 1)
        layer.running_var.uniform_(0.5, 2)
        layer.weight.uniform_(0.5, 2)
        layer.bias.uniform_(-1, 1)
    return layer
