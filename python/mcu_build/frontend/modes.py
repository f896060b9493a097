"""How models are called and exported: without modes that firmware does not have, with layers that raise."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.distributions import Distribution
from torch.fx import Tracer

from mcu_build.lower.upstream.replaced import replaced


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


@contextlib.contextmanager
def layers_may_raise() -> Iterator[None]:
    """Trace `try: y = layer(x, lengths)`, `except TypeError: y = layer(x)`.

    torch's tracer takes a layer whose call has raised for one that it is still in.
    """
    usual = Tracer.call_module

    def call(tracer: Tracer, *operands: Any) -> Any:
        depth = len(tracer.module_stack)
        try:
            return usual(tracer, *operands)
        except Exception:
            while len(tracer.module_stack) > depth:
                tracer.module_stack.popitem()
            raise

    with replaced(Tracer, "call_module", call):
        yield
