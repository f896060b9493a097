"""Steps for firmware/kernels/cmsis_nn: calls of the user's CMSIS-NN where its arithmetic is the program's.

Its kernels promise nothing for outputs that overlap inputs: no step keeps its overlaps. Sizes of its buffers
are the largest that it asks for on any core with this instruction set (CMSIS-NN 7); the glue checks them.
"""

from dataclasses import dataclass, replace

import numpy as np

from mcu_build.ir.calls.call import Call
from mcu_build.ir.calls.convolution import (
    Conv2d,
    Conv2dParams,
    DepthwiseConv2d,
    DepthwiseConv2dParams,
)
from mcu_build.ir.calls.matmul import Linear
from mcu_build.ir.calls.pairs import Add, Mul
from mcu_build.ir.calls.pooling import AvgPool2d, AvgPool2dParams, MaxPool2d
from mcu_build.ir.calls.struct import NONE, ONE, Broadcast, ImageSize, Struct, Window
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.context import Context, Rule, Table
from mcu_build.kernels.dsp.requantize import array

_SOURCE = "cmsis_nn"
_ROUNDED_WEIGHTS = 16  # a window's bytes are rounded up to a vector
_WINDOWS = 4  # brought together at a time
_DEPTHWISE_CHANNELS = 124  # of a block, on Helium
_FARTHEST = 31  # shift to the right


@dataclass(frozen=True)
class CmsisNnConv2dParams(Struct):
    """Parameters of cmsis_nn.h."""

    conv: Conv2dParams
    scratch: int


@dataclass(frozen=True)
class CmsisNnDepthwiseParams(Struct):
    """Parameters of cmsis_nn.h."""

    conv: DepthwiseConv2dParams
    scratch: int


@dataclass(frozen=True)
class CmsisNnAvgPool2dParams(Struct):
    """Parameters of cmsis_nn.h."""

    pool: AvgPool2dParams
    scratch: int


def conv2d(context: Context, step: Step, call: Conv2d) -> Step | None:
    """One group."""
    params = call.params
    if params.groups != 1 or not _shifts_right(context, call.shifts):
        return None
    window = params.window
    one_pixel = window.size == ONE and window.padding == NONE
    wanted = 0 if one_pixel else _window_bytes(params.input, window)
    call = replace(call, bias=_bias(context, call))
    return _with_scratch(context, step, call, CmsisNnConv2dParams(params, wanted))


def depthwise(context: Context, step: Step, call: DepthwiseConv2d) -> Step | None:
    """Any multiplier."""
    params = call.params
    if not _shifts_right(context, call.shifts):
        return None
    taps, channels = params.window.size.product, params.input.channels
    wanted = 0
    if channels == params.output.channels:
        wanted = taps * max(2 * channels, _WINDOWS * _DEPTHWISE_CHANNELS)
    elif channels == 1:
        # Helium turns it into a convolution, and its weights with it.
        wanted = _window_bytes(params.input, params.window) + taps * params.output.channels
    call = replace(call, bias=_bias(context, call))
    return _with_scratch(context, step, call, CmsisNnDepthwiseParams(params, wanted))


def linear(context: Context, step: Step, call: Linear) -> Step | None:
    """Constant weights, the input's offset in a bias of our own."""
    params = call.params
    weights = array(context, call.weights, np.int8)
    bias = array(context, call.bias, np.int32)
    if (
        weights is None
        or (bias is None and call.bias is not None)
        or params.filter_offset != 0
        or not -_FARTHEST <= params.shift <= 0
    ):
        return None
    sums = weights.astype(np.int64).sum(axis=1) * params.input_offset
    sums += 0 if bias is None else bias.reshape(-1)
    if np.abs(sums).max(initial=0) >= 1 << 31:
        return None
    folded = context.constant("sums", DType.I32, sums.shape, sums.astype("<i4").tobytes())
    return _call(step, replace(call, params=replace(params, input_offset=0), bias=folded))


def add(context: Context, step: Step, call: Add) -> Step | None:
    """Two operands of one shape in one order."""
    params = call.params
    shifts = (params.shift, params.first.shift, params.second.shift)
    return _dense_pair(step, call, params.space, shifts)


def mul(context: Context, step: Step, call: Mul) -> Step | None:
    """Two operands of one shape in one order."""
    return _dense_pair(step, call, call.params.space, (call.params.shift,))


def _dense_pair(step: Step, call: Call, space: Broadcast, shifts: tuple[int, ...]) -> Step | None:
    fits = space.both_dense and all(-_FARTHEST <= shift <= 0 for shift in shifts)
    return _call(step, call) if fits else None


def average(context: Context, step: Step, call: AvgPool2d) -> Step | None:
    """Any windows."""
    params = call.params
    return _with_scratch(context, step, call, CmsisNnAvgPool2dParams(params, 4 * params.input.channels))


def maximum(context: Context, step: Step, call: MaxPool2d) -> Step | None:
    """Any windows."""
    return _call(step, call)


TABLE: Table = (
    Rule(Conv2d, conv2d),
    Rule(DepthwiseConv2d, depthwise),
    Rule(Linear, linear),
    Rule(Add, add),
    Rule(Mul, mul),
    Rule(AvgPool2d, average),
    Rule(MaxPool2d, maximum),
)


def _call(step: Step, call: Call) -> Step:
    return replace(
        step,
        kernel=f"cmsis_nn_{call.kernel}",
        source=_SOURCE,
        params=call.params,
        arguments=call.arguments,
        inplace={},
    )


def _with_scratch(
    context: Context,
    step: Step,
    call: Call,
    params: CmsisNnConv2dParams | CmsisNnDepthwiseParams | CmsisNnAvgPool2dParams,
) -> Step:
    """A call with a buffer of as many bytes as its parameters say."""
    buffer = context.scratch(params.scratch) if params.scratch else None
    written = (*call.writes, buffer) if buffer is not None else call.writes
    return replace(_call(step, call), params=params, arguments=(*call.arguments, buffer), writes=written)


def _bias(context: Context, call: Conv2d | DepthwiseConv2d) -> int:
    """A bias of zeros where the layer has none: not every kernel of CMSIS-NN looks."""
    if call.bias is not None:
        return call.bias
    channels = context.tensor(call.multipliers).elements
    return context.constant("bias", DType.I32, (channels,), bytes(4 * channels))


def _shifts_right(context: Context, id: int) -> bool:
    shifts = array(context, id, np.int32)
    return shifts is not None and bool(((shifts <= 0) & (shifts >= -_FARTHEST)).all())


def _window_bytes(image: ImageSize, window: Window) -> int:
    # A window of one row may be given its padding on both sides as well.
    columns = window.size.x + 2 * window.padding.x if window.size.y == 1 else window.size.x
    count = window.size.y * columns * image.channels
    return _WINDOWS * -(-count // _ROUNDED_WEIGHTS) * _ROUNDED_WEIGHTS
