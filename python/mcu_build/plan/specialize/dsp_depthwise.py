"""Depthwise convolutions by firmware/kernels/dsp/dsp_depthwise: which function takes a step, its weights."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mcu_build.ir.calls.convolution import DepthwiseConv2d, DepthwiseConv2dParams
from mcu_build.ir.calls.struct import ImageSize, Pair, Struct, Window
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.plan.specialize.context import Context
from mcu_build.plan.specialize.dsp_conv import distance, window_starts
from mcu_build.plan.specialize.dsp_packing import Bytes
from mcu_build.plan.specialize.dsp_packing import depthwise as packed_depthwise
from mcu_build.plan.specialize.dsp_rescale import DspBounds, Rescaling, array, convolution

_POINTER_BYTES = 4


@dataclass(frozen=True)
class DspDepthwiseParams(Struct):
    """Parameters of dsp_depthwise.h."""

    batch: int
    input: ImageSize
    output: Pair
    window: Window
    bounds: DspBounds


@dataclass(frozen=True)
class Layer:
    """Weights [channels][taps] of a depthwise layer, whether it is 3x3, and its rescaling."""

    taps: Bytes
    nine: bool
    rescaling: Rescaling


@dataclass(frozen=True)
class Kernels:
    """A folder's kernel for depthwise layers: its source, its function, packed weights, its parameters.

    `taps` are the pointers in its table for a window of so many taps.
    """

    source: str
    function: Callable[[Layer], str]
    packed: Callable[[Layer], bytes]
    takes: Callable[[Layer], bool]
    taps: Callable[[int], int]
    params: Callable[[DepthwiseConv2dParams, Layer], Struct]


_DSP = Kernels(
    source="dsp_depthwise",
    function=lambda layer: f"dsp_depthwise_{'3x3_' if layer.nine else ''}{layer.rescaling.form}",
    packed=lambda layer: packed_depthwise(layer.taps, layer.rescaling.scales, layer.nine),
    takes=lambda layer: True,
    taps=lambda count: count + count % 2,
    params=lambda given, layer: DspDepthwiseParams(
        given.batch, given.input, given.output.extent, given.window, layer.rescaling.limits
    ),
)


def depthwise(context: Context, step: Step, call: DepthwiseConv2d) -> Step | None:
    """One output channel for each of four input channels at least."""
    return step_of(_DSP, context, step, call)


def step_of(kernels: Kernels, context: Context, step: Step, call: DepthwiseConv2d) -> Step | None:
    """A step of `kernels` that walks over windows by a table of taps. None: they cannot take it."""
    given = call.params
    weights = array(context, call.weights, np.int8)
    pad_value, channels = -given.input_offset, given.input.channels
    if weights is None or channels < 4 or given.output.channels != channels or not -128 <= pad_value <= 127:
        return None
    taps = weights.reshape(-1, channels).T
    rescaling = convolution(context, call, taps)
    if rescaling is None:
        return None
    layer = Layer(taps, given.window.size == Pair(3, 3), rescaling)
    if not kernels.takes(layer):
        return None
    packed = kernels.packed(layer)
    edge = bytes([pad_value & 0xFF]) * channels
    scratch = context.scratch(_POINTER_BYTES * kernels.taps(taps.shape[1]))
    arguments = (
        call.input,
        context.constant("packed_weights", DType.I32, (len(packed) // 4,), packed),
        context.constant("edge", DType.I8, (channels,), edge) if call.leaves_image else None,
        call.output,
        scratch,
    )
    starts = window_starts(given.batch, given.input, given.output, given.window)
    return replace(
        step,
        kernel=kernels.function(layer),
        source=kernels.source,
        params=kernels.params(given, layer),
        arguments=arguments,
        writes=(call.output, scratch),
        inplace={call.input: distance(starts, given.output.width, 0, channels)},
    )
