"""The int8 operators that are ours, `mcu_build::*`, for torch: schemas, shapes, reference_int8's arithmetic.

They take and give int8 tensors, so that a lowered graph runs in PyTorch, and have the out forms that a
program calls.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from mcu_build.reference_int8 import DEFINITIONS, windows

# Arguments of each operator; all of them give one int8 tensor.
_SCHEMAS: Mapping[str, str] = {
    "prelu": "Tensor input, Tensor slopes, int positive, int shift, int input_zero_point, "
    "int output_zero_point",
    "norm": "Tensor input, Tensor weight, Tensor bias, int groups, bool centered, int epsilon, "
    "int input_zero_point, int output_zero_point, int shift",
    "resample": "Tensor input, Tensor row_starts, Tensor row_weights, Tensor column_starts, "
    "Tensor column_weights, int input_zero_point, int output_zero_point, int multiplier, int shift",
    "max_pool2d": "Tensor input, int[] kernel_size, int[] stride, int[] padding",
    "max_pool2d_dilated": "Tensor input, int[] kernel_size, int[] stride, int[] padding, int[] dilation, "
    "bool rounds_up",
    "masked_softmax": "Tensor input, Tensor mask, Tensor table",
    "log_softmax": "Tensor input, Tensor table, int step, int octave, int shift, int output_zero_point",
}


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


# What a result looks like where it is not like the first argument.
_SHAPES: Mapping[str, Callable[..., torch.Tensor]] = {
    "resample": _resampled,
    "max_pool2d": _pooled,
    "max_pool2d_dilated": _pooled,
}


@functools.cache
def library() -> torch.library.Library:
    """Register the operators, once."""
    made = torch.library.Library("mcu_build", "FRAGMENT")
    for name, arguments in _SCHEMAS.items():
        like = _SHAPES.get(name, _same)
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


def _computed(name: str, like: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def compute(*arguments: Any) -> torch.Tensor:
        arrays = [a.contiguous().numpy() if isinstance(a, torch.Tensor) else a for a in arguments]
        result = torch.from_numpy(np.ascontiguousarray(DEFINITIONS[name](*arrays)))
        return like(*arguments).copy_(result)

    return compute


def _written(name: str) -> Callable[..., torch.Tensor]:
    def write(*arguments: Any, out: torch.Tensor) -> torch.Tensor:
        return out.copy_(operator(name)(*arguments))

    return write
