"""Integer arithmetic of Cortex-M operators in NumPy, independent of executorch's Python and of our kernels.

Each function stands in for a definition of `executorch.backends.cortex_m.ops.operators`, with the arguments
of its functional form: arrays in the model's logical shape (NCHW), numbers, lists; it returns the result as
int8 in logical shape. Why a stand-in is needed stands with each. Sums of products run in float64: every
partial sum is an integer below 2^53, so they are exact, and fast.
"""

from collections.abc import Callable, Mapping, Sequence
from math import ldexp

import numpy as np
import numpy.typing as npt

from mcu_build.ir.arithmetic import requantize

Int8 = npt.NDArray[np.int8]
Int64 = npt.NDArray[np.int64]
Real = npt.NDArray[np.float64]

_SOFTMAX_INTEGER_BITS = 5


def _saturate(values: Int64, low: int, high: int) -> Int8:
    return np.clip(values, low, high).astype(np.int8)


def _wrap(accumulator: Real | Int64) -> Int64:
    """An int32 accumulator, as int64."""
    return accumulator.astype(np.int64).astype(np.int32).astype(np.int64)


def _pair(values: Sequence[int]) -> tuple[int, int]:
    return int(values[0]), int(values[-1])


def _window(size: int, start: int, step: int, count: int) -> tuple[slice, slice]:
    """The outputs whose input index start + step * output lies in [0, size), and those inputs."""
    first = max(0, -(start // step))
    last = min(count - 1, (size - 1 - start) // step)
    if last < first:
        return slice(0, 0), slice(0, 0)
    return slice(first, last + 1), slice(start + step * first, start + step * last + 1, step)


def correlate(
    image: Real,
    weight: Real,
    groups: int,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Real:
    """Sum of products: image (n, h, w, c), weight (out, kh, kw, c / groups) → (n, h', w', out)."""
    n, height, width, _ = image.shape
    out, kernel_h, kernel_w, inner = weight.shape
    (stride_h, stride_w), (pad_h, pad_w), (step_h, step_w) = _pair(stride), _pair(padding), _pair(dilation)
    rows = (height + 2 * pad_h - step_h * (kernel_h - 1) - 1) // stride_h + 1
    columns = (width + 2 * pad_w - step_w * (kernel_w - 1) - 1) // stride_w + 1
    total = np.zeros((n, rows, columns, groups, out // groups))
    source = image.reshape(n, height, width, groups, inner)
    for i in range(kernel_h):
        to_rows, from_rows = _window(height, i * step_h - pad_h, stride_h, rows)
        for j in range(kernel_w):
            to_columns, from_columns = _window(width, j * step_w - pad_w, stride_w, columns)
            tap = weight[:, i, j, :].reshape(groups, out // groups, inner)
            piece = source[:, from_rows, from_columns]
            if inner == 1:
                total[:, to_rows, to_columns] += piece * tap[:, :, 0]
            else:
                for group in range(groups):
                    total[:, to_rows, to_columns, group] += piece[:, :, :, group] @ tap[group].T
    return total.reshape(n, rows, columns, out)


def scatter(
    image: Real,
    weight: Real,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    dilation: Sequence[int],
) -> Real:
    """Transposed sum: every input adds its multiple of the kernel to the output. weight (out, kh, kw, in)."""
    n, height, width, _ = image.shape
    out, kernel_h, kernel_w, _ = weight.shape
    (stride_h, stride_w), (pad_h, pad_w), (step_h, step_w) = _pair(stride), _pair(padding), _pair(dilation)
    more_h, more_w = _pair(output_padding)
    rows = (height - 1) * stride_h + step_h * (kernel_h - 1) + 1
    columns = (width - 1) * stride_w + step_w * (kernel_w - 1) + 1
    total = np.zeros((n, rows + more_h, columns + more_w, out))
    for i in range(kernel_h):
        for j in range(kernel_w):
            top, left = i * step_h, j * step_w
            total[
                :,
                top : top + (height - 1) * stride_h + 1 : stride_h,
                left : left + (width - 1) * stride_w + 1 : stride_w,
            ] += image @ weight[:, i, j, :].T
    return total[:, pad_h : rows + more_h - pad_h, pad_w : columns + more_w - pad_w]


def _finish(
    total: Real,
    bias: npt.NDArray[np.int32] | None,
    multipliers: npt.NDArray[np.int32],
    shifts: npt.NDArray[np.int32],
    output_offset: int,
    low: int,
    high: int,
) -> Int8:
    """Bias, requantization for each channel, offset and clamp; (n, h, w, c) → (n, c, h, w)."""
    accumulator = _wrap(total + (0 if bias is None else bias))
    result = requantize(accumulator, multipliers, shifts) + output_offset
    return _saturate(result, low, high).transpose(0, 3, 1, 2)


def conv2d(
    image: Int8,
    weight: Int8,
    bias: npt.NDArray[np.int32] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    input_offset: int,
    output_offset: int,
    multipliers: npt.NDArray[np.int32],
    shifts: npt.NDArray[np.int32],
    low: int,
    high: int,
    scratch: object = None,
) -> Int8:
    """quantized_conv2d, weight (out, kh, kw, in / groups). torch has no dilated convolution on integers."""
    shifted = image.transpose(0, 2, 3, 1).astype(np.float64) + input_offset
    groups = image.shape[1] // weight.shape[3]
    total = correlate(shifted, weight.astype(np.float64), groups, stride, padding, dilation)
    return _finish(total, bias, multipliers, shifts, output_offset, low, high)


def depthwise_conv2d(
    image: Int8,
    weight: Int8,
    bias: npt.NDArray[np.int32] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    depth_multiplier: int,
    input_offset: int,
    output_offset: int,
    multipliers: npt.NDArray[np.int32],
    shifts: npt.NDArray[np.int32],
    low: int,
    high: int,
    scratch: object = None,
) -> Int8:
    """quantized_depthwise_conv2d, weight (1, kh, kw, out). torch has no dilated convolution on integers."""
    return conv2d(
        image,
        weight.transpose(3, 1, 2, 0),
        bias,
        stride,
        padding,
        dilation,
        input_offset,
        output_offset,
        multipliers,
        shifts,
        low,
        high,
    )


def transpose_conv2d(
    image: Int8,
    weight: Int8,
    bias: npt.NDArray[np.int32] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    dilation: Sequence[int],
    input_offset: int,
    output_offset: int,
    multipliers: npt.NDArray[np.int32],
    shifts: npt.NDArray[np.int32],
    low: int,
    high: int,
    scratch: object = None,
    output_scratch: object = None,
) -> Int8:
    """quantized_transpose_conv2d, weight (out, kh, kw, in). The definition's float32 is inexact from 2^24."""
    shifted = image.transpose(0, 2, 3, 1).astype(np.float64) + input_offset
    total = scatter(shifted, weight.astype(np.float64), stride, padding, output_padding, dilation)
    return _finish(total, bias, multipliers, shifts, output_offset, low, high)


def linear(
    rows: Int8,
    weight: Int8,
    bias: npt.NDArray[np.int32] | None,
    kernel_sum: npt.NDArray[np.int32] | None,
    input_offset: int,
    filter_offset: int,
    output_offset: int,
    multipliers: Sequence[int],
    shifts: Sequence[int],
    high: int,
    low: int,
) -> Int8:
    """quantized_linear: as defined, without torch's slow integer matrix product."""
    inputs = rows.astype(np.float64)
    if kernel_sum is not None:
        total = inputs @ weight.astype(np.float64).T
        total = total + filter_offset * inputs.sum(axis=-1, keepdims=True) + kernel_sum.reshape(-1)
    else:
        total = (inputs + input_offset) @ (weight.astype(np.float64) + filter_offset).T
        total = total + (0 if bias is None else bias)
    result = requantize(_wrap(total), int(multipliers[0]), int(shifts[0])) + output_offset
    return _saturate(result, low, high)


def batch_matmul(
    left: Int8,
    left_offset: int,
    right_transposed: Int8,
    right_offset: int,
    output_zero_point: int,
    multiplier: int,
    shift: int,
    scratch: object = None,
) -> Int8:
    """quantized_batch_matmul. The definition sums in float32: inexact from 2^24."""
    right = right_transposed.astype(np.float64) + right_offset
    total = (left.astype(np.float64) + left_offset) @ right.transpose(0, 2, 1)
    return _saturate(requantize(_wrap(total), multiplier, shift) + output_zero_point, -128, 127)


def softmax(
    values: Int8,
    dim: int,
    input_zero_point: int,
    output_zero_point: int,
    input_multiplier: int,
    input_shift: int,
    diff_min: int,
) -> Int8:
    """cortex_m::softmax in float64: the definition's float32 depends on the library's exponential."""
    scale = ldexp(input_multiplier, input_shift - 31 - (31 - _SOFTMAX_INTEGER_BITS))
    differences = values.astype(np.int64) - values.max(axis=dim, keepdims=True)
    powers = np.exp(differences * scale)
    shares = powers / powers.sum(axis=dim, keepdims=True)
    return _saturate(np.rint(shares * 256).astype(np.int64) + output_zero_point, -128, 127)


def avg_pool2d(
    image: Int8,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    zero_point: int,
    multiplier: int = 0,
    shift: int = 0,
    scratch: object = None,
) -> Int8:
    """quantized_avg_pool2d: the mean over the part of the window inside the image, half away from zero.

    As CMSIS-NN's arm_avgpool_s8, which ExecuTorch's own kernel calls; its Python definition rounds ties to
    even. Zero point and scale (multiplier, shift) cancel.
    """
    height, width = image.shape[2:]
    (kernel_h, kernel_w), (stride_h, stride_w), (pad_h, pad_w) = _pair(kernel), _pair(stride), _pair(padding)
    rows = _pool_size(height, kernel_h, stride_h, pad_h, ceil_mode)
    columns = _pool_size(width, kernel_w, stride_w, pad_w, ceil_mode)
    values = image.astype(np.int64)
    result = np.zeros((*image.shape[:2], rows, columns), np.int64)
    for row in range(rows):
        top, bottom = _inside(row * stride_h - pad_h, kernel_h, height)
        for column in range(columns):
            left, right = _inside(column * stride_w - pad_w, kernel_w, width)
            total = values[:, :, top:bottom, left:right].sum(axis=(2, 3))
            count = (bottom - top) * (right - left)
            result[:, :, row, column] = np.sign(total) * ((np.abs(total) + count // 2) // count)
    return _saturate(result, -128, 127)


def _pool_size(size: int, kernel: int, stride: int, pad: int, ceil_mode: bool) -> int:
    span = size + 2 * pad - kernel
    count = (-(-span // stride) if ceil_mode else span // stride) + 1
    # The last window has to start inside the image or its left padding.
    return count - 1 if ceil_mode and (count - 1) * stride >= size + pad else count


def _inside(start: int, length: int, size: int) -> tuple[int, int]:
    return max(start, 0), min(start + length, size)


def divide_to_even(total: Int64, count: int | Int64) -> Int64:
    """total / count, rounded to the nearest, half to even."""
    quotient, rest = np.divmod(total, count)
    up = (2 * rest > count) | ((2 * rest == count) & (quotient % 2 == 1))
    return np.add(quotient, up, dtype=np.int64)


def _nhwc(operator: Callable[..., Int8]) -> Callable[..., Int8]:
    """The same operator over (n, h, w, c)."""

    def run(image: Int8, *arguments: object) -> Int8:
        return operator(image.transpose(0, 3, 1, 2), *arguments).transpose(0, 2, 3, 1)

    return run


STAND_INS: Mapping[str, Callable[..., Int8]] = {
    "cortex_m::quantized_conv2d.out": conv2d,
    "cortex_m::quantized_conv2d_nhwc.out": _nhwc(conv2d),
    "cortex_m::quantized_depthwise_conv2d.out": depthwise_conv2d,
    "cortex_m::quantized_depthwise_conv2d_nhwc.out": _nhwc(depthwise_conv2d),
    "cortex_m::quantized_transpose_conv2d.out": transpose_conv2d,
    "cortex_m::quantized_transpose_conv2d_nhwc.out": _nhwc(transpose_conv2d),
    "cortex_m::quantized_linear.out": linear,
    "cortex_m::quantized_batch_matmul.out": batch_matmul,
    "cortex_m::quantized_avg_pool2d.out": avg_pool2d,
    "cortex_m::quantized_avg_pool2d_nhwc.out": _nhwc(avg_pool2d),
    "cortex_m::softmax.out": softmax,
}
