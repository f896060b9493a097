"""The shapes of what recurrent layers give, without their steps.

Whenever PyTorch traces a program it finds them by several operators on fake tensors for every step: a GRU of
1,000 steps took two minutes. They follow from the arguments.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch._C import DispatchKey
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx.experimental.proxy_tensor import disable_proxy_modes_tracing

_aten = torch.ops.aten
LAYERS = (_aten.lstm.input, _aten.gru.input, _aten.rnn_tanh.input, _aten.rnn_relu.input)


def results_of_layer(source: Any, states: Any, *rest: Any) -> tuple[torch.Tensor, ...]:
    """Empty tensors like the results of an operator of `LAYERS` with these arguments."""
    initial = tuple(states) if isinstance(states, list | tuple) else (states,)
    _, _, _, _, _, is_bidirectional, _ = rest
    width = initial[0].shape[-1] * (2 if is_bidirectional else 1)
    sequence = source.new_empty((*source.shape[:-1], width))
    return (sequence, *(state.new_empty(state.shape) for state in initial))


@contextlib.contextmanager
def recurrent_shapes() -> Iterator[None]:
    """Inside the block, recurrent layers on fake tensors give fake tensors of the right shapes.

    On other tensors they compute as before. The layers have to stay whole: of one that is taken apart
    nothing would be traced but results that nobody makes, which torch refuses.
    """
    key = DispatchKey.CompositeImplicitAutograd
    with contextlib.ExitStack() as stack:
        for layer in LAYERS:
            usual = layer.py_kernels[key]
            stack.callback(layer._dispatch_cache.clear)
            stack.callback(layer.py_kernels.__setitem__, key, usual)
            layer.py_kernels[key] = _shaped(usual)
            layer._dispatch_cache.clear()
        yield


def _shaped(usual: Callable[..., Any]) -> Callable[..., Any]:
    def call(source: Any, states: Any, *rest: Any) -> Any:
        if not isinstance(source, FakeTensor):
            return usual(source, states, *rest)
        with disable_proxy_modes_tracing():
            return results_of_layer(source, states, *rest)

    return call
