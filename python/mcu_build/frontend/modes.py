"""Modes of PyTorch that firmware does not have, off while a model is called and exported."""

import contextlib
from collections.abc import Iterator

import torch
from torch.distributions import Distribution

from mcu_build.lower.upstream import replaced


@contextlib.contextmanager
def as_in_firmware() -> Iterator[None]:
    """No gradients; `autocast` is without effect, for firmware computes in int8 and float32; distributions do
    not look at their parameters (`Normal(mean, scale)` asks whether every `scale` is above zero).
    """
    with (
        torch.no_grad(),
        replaced(torch.autocast, "__enter__", lambda entered: entered),
        replaced(torch.autocast, "__exit__", lambda *_: False),
        replaced(Distribution, "_validate_args", False),
    ):
        yield
