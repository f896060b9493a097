"""Small models, each for one operator that has an int8 form of our own; with the SQNR that it has to keep."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tests.support.lowering import Function


@dataclass(frozen=True)
class Model:
    """A model, inputs like its own, and the least SQNR against float in dB."""

    model: nn.Module
    example: tuple[torch.Tensor, ...]
    sqnr: float = 31.0


def _drawn(model: nn.Module) -> nn.Module:
    """The model with weights and biases of its normalizations that matter."""
    for part in model.modules():
        if isinstance(part, nn.LayerNorm | nn.GroupNorm | nn.RMSNorm | nn.InstanceNorm1d | nn.InstanceNorm2d):
            if part.weight is not None:
                nn.init.uniform_(part.weight, 0.3, 2.0)
            if getattr(part, "bias", None) is not None:
                nn.init.normal_(part.bias)
    return model


def _prelu(channels: int) -> nn.PReLU:
    layer = nn.PReLU(channels)
    layer.weight.data = torch.linspace(-0.2, 0.6, channels)
    return layer


def _channels_last_norm(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """As in ConvNeXt: a layer norm over the channels of an image."""
    return m.last(m.norm(m.first(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


def _resized(**options: Any) -> nn.Module:
    """Resizing between two convolutions."""
    return Function(
        lambda m, x: m.last(F.interpolate(m.first(x), **options)),
        first=nn.Conv2d(3, 4, 3),
        last=nn.Conv2d(4, 3, 3),
    )


def _decoder(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """As in a U-Net: what was made smaller, resized and joined with what it was made from."""
    wide = m.first(x)
    small = m.middle(F.max_pool2d(wide, 2))
    return m.last(torch.cat([F.interpolate(small, scale_factor=2, mode="bilinear"), wide], 1))


_LENGTH = 6
_CAUSAL = torch.ones(_LENGTH, _LENGTH, dtype=torch.bool).tril()


def _attends(m: nn.Module, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return F.scaled_dot_product_attention(q, k, v, attn_mask=m.mask)


class _Encoder(nn.Module):
    """Self-attention written out, with what `mask` makes of scores and of numbers that say what counts."""

    def __init__(self, mask: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.qkv, self.out, self.mask = nn.Linear(8, 24), nn.Linear(8, 8), mask

    def forward(self, x: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        n, length, width = x.shape
        q, k, v = self.qkv(x).reshape(n, length, 3, 2, 4).permute(2, 0, 3, 1, 4)
        shares = self.mask(q @ k.transpose(-1, -2) / 2, numbers[:, None, None, :]).softmax(-1)
        return self.out((shares @ v).transpose(1, 2).reshape(n, length, width))


def _attends_evenly(m: nn.Module, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return F.scaled_dot_product_attention(q / 2, k, v, attn_mask=m.mask)


def _filled(scores: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    return scores.masked_fill(numbers < 3, float("-inf"))


def _biased(scores: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """As in T5: relative positions and the mask are added as one."""
    far = torch.arange(_LENGTH)[:, None] - torch.arange(_LENGTH)
    return scores + (
        far.abs() / 3 + (1.0 - (numbers >= 3).to(torch.float32)) * torch.finfo(torch.float32).min
    )


def _multihead(m: nn.Module, x: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    return m.attention(x, x, x, key_padding_mask=numbers < 3, need_weights=False)[0]


def _embeds(m: nn.Module, numbers: torch.Tensor) -> torch.Tensor:
    """As a language model begins and ends: rows of a table, positions, and the table again."""
    x = m.norm(m.table(numbers) + m.positions)
    return F.linear(torch.tanh(m.inner(x)), m.table.weight)


def _rms_by_hand(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """As in Llama."""
    x = m.first(x)
    return m.last(m.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)))


def _layer_norm_by_hand(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """As in ConvNeXt: over the channels of an image."""
    x = m.first(x)
    mean = x.mean(1, keepdim=True)
    spread = (x - mean).pow(2).mean(1, keepdim=True)
    return m.last((x - mean) / torch.sqrt(spread + 1e-6) * m.weight + m.bias)


def _generalized_mean(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Cubes have a mean that is small beside them."""
    return m.head(torch.relu(m.first(x)).pow(3).mean((2, 3)).pow(1 / 3))


def _detector(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Two levels of boxes in pixels beside shares of classes, all joined."""
    near = torch.relu(m.first(x))
    levels = []
    for level, heads in ((near, m.near), (F.max_pool2d(near, 2), m.far)):
        boxes, scores = (head(level).flatten(2).transpose(1, 2) for head in heads)
        levels.append(torch.cat([boxes * 80, scores.softmax(-1)], -1))
    return torch.cat(levels, 1)


def cases() -> Mapping[str, Model]:
    """All of them, by name."""
    torch.manual_seed(31)
    image, sequence, rows = torch.zeros(1, 3, 9, 8), torch.zeros(2, 6, 19), torch.zeros(3, 5, 12)
    tokens, numbers = torch.zeros(1, _LENGTH, 8), torch.zeros(1, _LENGTH, dtype=torch.int64)
    # Three tensors: exported as one, three inputs are one.
    heads = tuple(torch.zeros(1, 2, _LENGTH, 4) for _ in range(3))
    many = tuple(torch.zeros(1, 2, 90, 4) for _ in range(3))
    return {
        "mean, small": Model(
            Function(_generalized_mean, first=nn.Conv2d(3, 8, 3), head=nn.Linear(8, 4)), (image,), sqnr=37.0
        ),
        "pool, padded": Model(
            Function(lambda m, x: F.avg_pool2d(x.pow(3), 3, 2, 1, True, False)), (image,), sqnr=28.0
        ),
        "pool, mostly padding": Model(
            Function(lambda m, x: F.avg_pool2d(x.pow(3), (4, 3), (1, 2), (2, 1))), (image,), sqnr=28.0
        ),
        "joined, boxes and scores": Model(
            Function(
                _detector,
                first=nn.Conv2d(3, 8, 3),
                near=nn.ModuleList([nn.Conv2d(8, 4, 1), nn.Conv2d(8, 5, 1)]),
                far=nn.ModuleList([nn.Conv2d(8, 4, 1), nn.Conv2d(8, 5, 1)]),
            ),
            (image,),
        ),
        "padding by what is at the edges": Model(
            nn.Sequential(
                nn.Conv2d(3, 5, 3, padding=(2, 1), padding_mode="reflect"),
                nn.Conv2d(5, 4, 3, padding=1, padding_mode="replicate"),
                nn.Conv2d(4, 4, 3, padding=2, padding_mode="circular"),
                nn.ReflectionPad2d((6, 6, 0, 0)),
            ),
            (image,),
        ),
        "prelu": Model(nn.Sequential(nn.Conv2d(3, 5, 3), _prelu(5), nn.Conv2d(5, 4, 3)), (image,)),
        "prelu, one slope": Model(
            nn.Sequential(nn.Conv2d(3, 5, 3), nn.PReLU(), nn.Conv2d(5, 4, 3)), (image,)
        ),
        "prelu, vector": Model(nn.Sequential(nn.Linear(12, 5), _prelu(5)), (torch.zeros(3, 12),)),
        "prelu, sequence": Model(_prelu(6), (sequence,)),
        "layer norm": Model(
            _drawn(nn.Sequential(nn.Linear(12, 24), nn.LayerNorm(24), nn.Linear(24, 5))), (rows,)
        ),
        "layer norm, bare": Model(nn.LayerNorm(12, elementwise_affine=False), (rows,)),
        "layer norm, image": Model(
            _drawn(nn.Sequential(nn.Conv2d(3, 4, 3), nn.LayerNorm([4, 7, 6]), nn.ReLU())), (image,)
        ),
        "layer norm, channels": Model(
            _drawn(
                Function(
                    _channels_last_norm,
                    first=nn.Conv2d(3, 8, 3),
                    norm=nn.LayerNorm(8),
                    last=nn.Conv2d(8, 3, 3),
                )
            ),
            (image,),
        ),
        "rms norm": Model(
            _drawn(nn.Sequential(nn.Linear(12, 24), nn.RMSNorm(24), nn.Linear(24, 5))), (rows,)
        ),
        "group norm": Model(
            _drawn(nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.Conv2d(8, 4, 3))), (image,)
        ),
        "group norm, sequence": Model(
            _drawn(nn.Sequential(nn.Conv1d(6, 8, 3), nn.GroupNorm(4, 8))), (sequence,)
        ),
        "instance norm": Model(
            _drawn(nn.Sequential(nn.Conv2d(3, 8, 3), nn.InstanceNorm2d(8, affine=True), nn.ReLU())), (image,)
        ),
        "instance norm, sequence": Model(
            nn.Sequential(nn.Conv1d(6, 8, 3), nn.InstanceNorm1d(8)), (sequence,)
        ),
        "instance norm, statistics": Model(
            nn.Sequential(nn.Conv2d(3, 8, 3), nn.InstanceNorm2d(8, track_running_stats=True)), (image,)
        ),
        "bilinear": Model(_resized(scale_factor=2, mode="bilinear"), (image,)),
        "bilinear, corners": Model(_resized(size=(13, 17), mode="bilinear", align_corners=True), (image,)),
        "bilinear, scale factors": Model(_resized(scale_factor=(1.7, 0.6), mode="bilinear"), (image,)),
        "bilinear, antialias": Model(_resized(size=(4, 4), mode="bilinear", antialias=True), (image,), 30.0),
        "bilinear, joined": Model(
            Function(
                _decoder,
                first=nn.Conv2d(3, 4, 3, padding=1),
                middle=nn.Conv2d(4, 6, 1),
                last=nn.Conv2d(10, 3, 3),
            ),
            (torch.zeros(1, 3, 8, 8),),
        ),
        "bicubic": Model(_resized(scale_factor=2, mode="bicubic"), (image,)),
        "bicubic, corners": Model(_resized(size=(13, 17), mode="bicubic", align_corners=True), (image,)),
        "bicubic, alone": Model(
            Function(lambda m, x: F.interpolate(x, size=(5, 9), mode="bicubic")), (image,)
        ),
        "nearest, exact": Model(_resized(size=(13, 11), mode="nearest-exact"), (image,)),
        "linear": Model(Function(lambda m, x: F.interpolate(x, scale_factor=2, mode="linear")), (sequence,)),
        "nearest, sequence": Model(
            Function(lambda m, x: F.interpolate(m.first(x), size=40), first=nn.Conv1d(6, 4, 3)), (sequence,)
        ),
        "adaptive average": Model(
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d((3, 4)), nn.Conv2d(4, 2, 1)), (image,)
        ),
        "adaptive average, sequence": Model(
            nn.Sequential(nn.Conv1d(6, 4, 3), nn.AdaptiveAvgPool1d(5)), (sequence,), 30.0
        ),
        "attention, causal": Model(Function(_attends, mask=_CAUSAL), heads),
        "attention, added constant": Model(
            Function(_attends, mask=torch.where(_CAUSAL, torch.randn(_LENGTH, _LENGTH), -1e9)), heads
        ),
        # Shares of 1/90 or so: in steps of 1/256 the first has 19.6 dB.
        "attention, many": Model(Function(_attends_evenly, mask=None), many, 29.0),
        "attention, many and masked": Model(
            Function(_attends_evenly, mask=(torch.arange(90) % 5 > 0)[None]), many, 29.0
        ),
        "attention, filled": Model(_Encoder(_filled), (tokens, numbers)),
        "attention, nn.Multihead": Model(
            Function(_multihead, attention=nn.MultiheadAttention(8, 2, batch_first=True)), (tokens, numbers)
        ),
        "log_softmax": Model(nn.Sequential(nn.Linear(12, 10), nn.LogSoftmax(-1)), (rows,), 40.0),
        "log_softmax, channels": Model(nn.Sequential(nn.Conv2d(3, 5, 3), nn.LogSoftmax(1)), (image,), 40.0),
        "rms norm by hand": Model(
            Function(_rms_by_hand, first=nn.Linear(12, 8), last=nn.Linear(8, 5), weight=torch.rand(8) + 0.5),
            (rows,),
        ),
        "layer norm by hand": Model(
            Function(
                _layer_norm_by_hand,
                first=nn.Conv2d(3, 8, 3),
                last=nn.Conv2d(8, 3, 1),
                weight=torch.rand(8, 1, 1) + 0.5,
                bias=torch.randn(8, 1, 1),
            ),
            (image,),
        ),
        "normalize": Model(
            Function(lambda m, x: F.normalize(m.first(x), dim=-1), first=nn.Linear(12, 8)), (rows,)
        ),
        "normalize, channels": Model(
            Function(lambda m, x: F.normalize(m.first(x)), first=nn.Conv2d(3, 8, 3)), (image,)
        ),
        "embedding": Model(
            Function(
                _embeds,
                table=nn.Embedding(8, 12),
                positions=torch.randn(_LENGTH, 12),
                norm=nn.LayerNorm(12),
                inner=nn.Linear(12, 12),
            ),
            (numbers,),
        ),
        "max pool, ceil": Model(
            nn.Sequential(nn.Conv2d(3, 5, 2), nn.MaxPool2d(3, 2, ceil_mode=True)),
            (torch.zeros(1, 3, 17, 19),),
        ),
        "max pool, dilated": Model(nn.Sequential(nn.Conv2d(3, 5, 2), nn.MaxPool2d(2, dilation=3)), (image,)),
        "max pool, sequence": Model(
            nn.Sequential(nn.Conv1d(6, 5, 2), nn.MaxPool1d(4, ceil_mode=True)), (sequence,)
        ),
        "adaptive maximum": Model(
            nn.Sequential(nn.Conv2d(3, 5, 2), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(5, 3)),
            (image,),
            30.0,
        ),
        "average, own divisor": Model(
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.AvgPool2d(3, 2, divisor_override=5)), (image,), 27.0
        ),
        "attention, bias and mask": Model(_Encoder(_biased), (tokens, numbers), 28.0),
    }
