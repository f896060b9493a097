"""Small models, each for one operator that has an int8 form of our own; with the SQNR that it has to keep."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from tests.support.lowering import Function


@dataclass(frozen=True)
class Model:
    """A model, inputs like its own, and the least SQNR against float in dB."""

    model: nn.Module
    example: tuple[torch.Tensor, ...]
    sqnr: float = 33.0


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


def cases() -> Mapping[str, Model]:
    """All of them, by name."""
    torch.manual_seed(31)
    image, sequence, rows = torch.zeros(1, 3, 9, 8), torch.zeros(2, 6, 19), torch.zeros(3, 5, 12)
    return {
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
    }
