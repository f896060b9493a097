"""The integer operators that are ours, `mcu_build::*`, for torch: schemas, shapes, and the arithmetic of
arithmetic/int8.py, arithmetic/int16.py and arithmetic/recurrent.py.

They take and give int8 or int16 tensors, so that a lowered graph runs in PyTorch, and have the out forms that
a program calls.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from mcu_build.arithmetic import int4, int8, int16, recurrent
from mcu_build.arithmetic.int8 import windows
from mcu_build.lower.integer import int16_ops

_DEFINITIONS: Mapping[str, Callable[..., Any]] = {
    **int8.DEFINITIONS,
    **int16.DEFINITIONS,
    **recurrent.DEFINITIONS,
    **int4.DEFINITIONS,
}
_RECURRENT = (
    "Tensor input_weights, Tensor hidden_weights, Tensor multipliers, Tensor biases, Tensor? table, "
    "bool batch_first, int shift, int zero_point, int output_multiplier, int output_shift"
)
_RESAMPLE = (
    "Tensor input, Tensor row_starts, Tensor row_weights, Tensor column_starts, "
    "Tensor column_weights, int input_zero_point, int output_zero_point, int multiplier, int shift"
)
# Arguments of each operator; all of them give one tensor, but for those of _SECOND.
_SCHEMAS: Mapping[str, str] = {
    "prelu": "Tensor input, Tensor slopes, int positive, int shift, int input_zero_point, "
    "int output_zero_point",
    "norm": "Tensor input, Tensor weight, Tensor bias, int groups, bool centered, int epsilon, "
    "int input_zero_point, int output_zero_point, int shift",
    "resample": _RESAMPLE,
    "avg_pool2d": _RESAMPLE,
    "max_pool2d": "Tensor input, int[] kernel_size, int[] stride, int[] padding",
    "max_pool2d_dilated": "Tensor input, int[] kernel_size, int[] stride, int[] padding, int[] dilation, "
    "bool rounds_up",
    "softmax": "Tensor input, Tensor table, int octaves",
    "masked_softmax": "Tensor input, Tensor mask, Tensor table, int octaves",
    "log_softmax": "Tensor input, Tensor table, int step, int octave, int shift, int output_zero_point",
    "lstm": f"Tensor input, Tensor? hidden, Tensor? cell, {_RECURRENT}",
    "gru": f"Tensor input, Tensor? hidden, Tensor? state, {_RECURRENT}, int state_bits, "
    "int state_multiplier, int state_shift",
    "rnn": f"Tensor input, Tensor? hidden, {_RECURRENT}",
    "linear_w4": "Tensor input, Tensor weight, Tensor factors, Tensor bias, Tensor multipliers, "
    "Tensor shifts, int inputs, int dimension, int zero_point, int low, int high",
    **int16_ops.SCHEMAS,
}
# Operators with a second result.
_SECOND = ("lstm", "gru")


def _same(input: torch.Tensor, *_: Any) -> torch.Tensor:
    return torch.empty_like(input, dtype=torch.int8)


def _resampled(
    input: torch.Tensor, row_starts: torch.Tensor, _: object, column_starts: torch.Tensor, *rest: Any
) -> torch.Tensor:
    sizes = (*input.shape[:2], len(row_starts), len(column_starts))
    return input.new_empty(sizes).to(memory_format=torch.channels_last)


def _pooled(
    input: torch.Tensor,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    dilation: Sequence[int] = (1, 1),
    rounds_up: bool = True,
) -> torch.Tensor:
    axes = zip(input.shape[2:], kernel, stride, padding, dilation, strict=True)
    sizes = [windows(*axis, rounds_up=rounds_up) for axis in axes]
    return input.new_empty((*input.shape[:2], *sizes)).to(memory_format=torch.channels_last)


def _product(input: torch.Tensor, weight: torch.Tensor, *rest: Any) -> torch.Tensor:
    sizes, dimension = list(input.shape), rest[5]
    sizes[dimension] = weight.shape[0]
    made = input.new_empty(sizes)
    return made.to(memory_format=torch.channels_last) if dimension == 1 else made


def _sequence(
    input: torch.Tensor, hidden: torch.Tensor | None, input_weights: Any, *rest: Any
) -> torch.Tensor:
    return input.new_empty((*input.shape[:2], rest[0].shape[1]))


def _sequence_and_state(
    input: torch.Tensor, hidden: torch.Tensor | None, state: torch.Tensor | None, *rest: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    result = _sequence(input, hidden, *rest)
    batches = input.shape[0 if rest[5] else 1]
    return result, torch.empty((1, batches, result.shape[2]), dtype=torch.float32, device=input.device)


# What a result looks like where it is not like the first argument.
_SHAPES: Mapping[str, Callable[..., Any]] = {
    "resample": _resampled,
    "avg_pool2d": _resampled,
    "max_pool2d": _pooled,
    "max_pool2d_dilated": _pooled,
    "lstm": _sequence_and_state,
    "gru": _sequence_and_state,
    "rnn": _sequence,
    "linear_w4": _product,
    **int16_ops.SHAPES,
}


@functools.cache
def library() -> torch.library.Library:
    """Register the operators, once."""
    made = torch.library.Library("mcu_build", "FRAGMENT")
    for name, arguments in _SCHEMAS.items():
        like = _SHAPES.get(name, _same)
        if name in _SECOND:
            made.define(f"{name}({arguments}) -> (Tensor, Tensor)")
            outs = "Tensor(a!) out, Tensor(b!) second_out"
            made.define(f"{name}.out({arguments}, *, {outs}) -> (Tensor(a!), Tensor(b!))")
        else:
            made.define(f"{name}({arguments}) -> Tensor")
            made.define(f"{name}.out({arguments}, *, Tensor(a!) out) -> Tensor(a!)")
        torch.library.register_fake(f"mcu_build::{name}", like, lib=made)
        made.impl(name, _computed(name, like), "CPU")
        made.impl(f"{name}.out", _written(name), "CompositeExplicitAutograd")
    return made


def operator(name: str) -> Any:
    """`torch.ops` entry of one of them."""
    library()
    return getattr(torch.ops.mcu_build, name).default


def _computed(name: str, like: Callable[..., Any]) -> Callable[..., Any]:
    def compute(*arguments: Any) -> Any:
        arrays = [a.contiguous().numpy() if isinstance(a, torch.Tensor) else a for a in arguments]
        results, empty = _DEFINITIONS[name](*arrays), like(*arguments)
        if name not in _SECOND:
            return _filled(empty, results)
        return tuple(_filled(*pair) for pair in zip(empty, results, strict=True))

    return compute


def _filled(empty: torch.Tensor, values: Any) -> torch.Tensor:
    return empty.copy_(torch.from_numpy(np.ascontiguousarray(values)).reshape(empty.shape))


def _written(name: str) -> Callable[..., Any]:
    def write(*arguments: Any, out: torch.Tensor) -> torch.Tensor:
        return out.copy_(operator(name)(*arguments))

    def write_both(*arguments: Any, out: torch.Tensor, second_out: torch.Tensor) -> Any:
        results = operator(name)(*arguments)
        return out.copy_(results[0]), second_out.copy_(results[1])

    return write_both if name in _SECOND else write
