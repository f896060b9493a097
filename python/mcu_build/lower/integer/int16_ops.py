"""Schemas and result shapes of operators on int16 activations; arithmetic/int16.py has their arithmetic."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from mcu_build.arithmetic.int8 import windows

_LAYER = "Tensor input, Tensor weight, Tensor bias, Tensor multipliers, Tensor shifts"
_PAIR = "Tensor first, Tensor second"

SCHEMAS: Mapping[str, str] = {
    "rescale_s16": "Tensor input, int input_zero_point, int multiplier, int shift, int output_zero_point, "
    "int low, int high, int bits",
    "linear_s16": f"{_LAYER}, int low, int high",
    "conv2d_s16": f"{_LAYER}, int[] stride, int[] padding, int[] dilation, int groups, int low, int high",
    "transpose_conv2d_s16": f"{_LAYER}, int[] stride, int[] padding, int[] output_padding, int[] dilation, "
    "int low, int high",
    "add_s16": f"{_PAIR}, int first_multiplier, int second_multiplier, int shift, int low, int high",
    "mul_s16": f"{_PAIR}, int multiplier, int shift, int low, int high",
    "matmul_s16": "Tensor left, Tensor right, int multiplier, int shift",
    "max_pool2d_s16": "Tensor input, int[] kernel_size, int[] stride, int[] padding, int[] dilation, "
    "bool rounds_up",
    "avg_pool2d_s16": "Tensor input, int[] kernel_size, int[] stride, int[] padding, bool rounds_up, "
    "Tensor multipliers, int shift",
    "resample_s16": "Tensor input, Tensor row_starts, Tensor row_weights, Tensor column_starts, "
    "Tensor column_weights, int multiplier, int shift, int low, int high",
    "lookup_s16": "Tensor input, Tensor table, int bits",
    "softmax_s16": "Tensor input, int dimension, Tensor table, int multiplier, int shift",
    "log_softmax_s16": "Tensor input, Tensor table, int multiplier, int shift, int step, int octave, "
    "int output_shift",
    "masked_softmax_s16": "Tensor input, Tensor mask, Tensor table, int multiplier, int shift",
    "norm_s16": "Tensor input, Tensor weight, Tensor bias, int groups, bool centered, int epsilon, int shift",
}


def same(input: torch.Tensor, *_: Any) -> torch.Tensor:
    """A result like the first argument."""
    return torch.empty_like(input, dtype=torch.int16)


def _rescaled(input: torch.Tensor, *rest: Any) -> torch.Tensor:
    return torch.empty_like(input, dtype=torch.int8 if rest[-1] == 8 else torch.int16)


def _rows(input: torch.Tensor, weight: torch.Tensor, *_: Any) -> torch.Tensor:
    return input.new_empty((*input.shape[:-1], weight.shape[0]))


def _image(input: torch.Tensor, channels: int, sizes: Sequence[int]) -> torch.Tensor:
    return input.new_empty((input.shape[0], channels, *sizes)).to(memory_format=torch.channels_last)


def _convolved(input: torch.Tensor, weight: torch.Tensor, *rest: Any) -> torch.Tensor:
    stride, padding, dilation = rest[3:6]
    axes = zip(input.shape[2:], weight.shape[1:3], stride, padding, dilation, strict=True)
    return _image(input, weight.shape[0], [windows(*axis, rounds_up=False) for axis in axes])


def _transposed(input: torch.Tensor, weight: torch.Tensor, *rest: Any) -> torch.Tensor:
    stride, padding, more, dilation = rest[3:7]
    axes = zip(input.shape[2:], weight.shape[1:3], stride, padding, more, dilation, strict=True)
    sizes = [(size - 1) * s - 2 * p + d * (kernel - 1) + m + 1 for size, kernel, s, p, m, d in axes]
    return _image(input, weight.shape[0], sizes)


def _pair(first: torch.Tensor, second: torch.Tensor, *_: Any) -> torch.Tensor:
    # torch settles both the sizes and the memory layout.
    result: torch.Tensor = torch.add(first, second)
    return result


def _product(left: torch.Tensor, right: torch.Tensor, *_: Any) -> torch.Tensor:
    return left.new_empty((left.shape[0], left.shape[1], right.shape[1]))


def _averaged(
    input: torch.Tensor, kernel: list[int], stride: list[int], padding: list[int], rounds_up: bool, *_: Any
) -> torch.Tensor:
    axes = zip(input.shape[2:], kernel, stride, padding, strict=True)
    return _image(input, input.shape[1], [windows(*axis, 1, rounds_up=rounds_up) for axis in axes])


def _resampled(
    input: torch.Tensor, row_starts: torch.Tensor, _: object, column_starts: torch.Tensor, *rest: Any
) -> torch.Tensor:
    return _image(input, input.shape[1], [len(row_starts), len(column_starts)])


def _maximal(
    input: torch.Tensor,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    rounds_up: bool,
) -> torch.Tensor:
    axes = zip(input.shape[2:], kernel, stride, padding, dilation, strict=True)
    return _image(input, input.shape[1], [windows(*axis, rounds_up=rounds_up) for axis in axes])


SHAPES: Mapping[str, Callable[..., torch.Tensor]] = {
    **dict.fromkeys(SCHEMAS, same),
    "rescale_s16": _rescaled,
    "linear_s16": _rows,
    "conv2d_s16": _convolved,
    "transpose_conv2d_s16": _transposed,
    "add_s16": _pair,
    "mul_s16": _pair,
    "matmul_s16": _product,
    "max_pool2d_s16": _maximal,
    "avg_pool2d_s16": _averaged,
    "resample_s16": _resampled,
}
