"""Depthwise convolutions by firmware/kernels/dsp/dsp_depthwise: which function takes a step, its weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mcu_build.ir.calls.convolution import DepthwiseConv2d
from mcu_build.ir.calls.struct import ImageSize, Pair, Struct, Window
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.context import Context, Way
from mcu_build.kernels.dsp.packing import Bytes
from mcu_build.kernels.dsp.packing import depthwise as packed_depthwise
from mcu_build.kernels.dsp.requantize import DspBounds, DspRequantization, array, convolution
from mcu_build.kernels.overlap import distance, in_rows, window_starts

_POINTER_BYTES = 4
_NINE = Pair(3, 3)


@dataclass(frozen=True)
class DspDepthwiseParams(Struct):
    """Parameters of dsp_depthwise.h."""

    batch: int
    input: ImageSize
    output: Pair
    window: Window
    bounds: DspBounds


def depthwise(context: Context, step: Step, call: DepthwiseConv2d) -> Sequence[Way]:
    """One output channel for each of four input channels at least."""
    params = call.params
    weights = array(context, call.weights, np.int8)
    pad_value, channels = -params.input_offset, params.input.channels
    if weights is None or channels < 4 or params.output.channels != channels or not -128 <= pad_value <= 127:
        return []
    taps = weights.reshape(-1, channels).T
    requantization = convolution(context, call, taps)
    return (
        []
        if requantization is None
        else [Way(_cycles(call), lambda: _step(context, step, call, taps, requantization))]
    )


def _cycles(call: DepthwiseConv2d) -> float:
    """Modelled ones of a Cortex-M4. That a window meets the image's edge is shared by all channels."""
    params, size = call.params, call.params.window.size
    taps, fours = size.y * size.x, -(-params.input.channels // 4)
    pixel = 150 if size == _NINE else 23 * -(-taps // 2) + 145
    return params.batch * params.output.pixels * (fours * pixel + 4 * taps + 60)


def _step(
    context: Context, step: Step, call: DepthwiseConv2d, taps: Bytes, requantization: DspRequantization
) -> Step:
    """By a table of taps for each pixel, from weights [channels][taps]."""
    params = call.params
    channels, count = taps.shape
    nine = params.window.size == _NINE
    packed = packed_depthwise(taps, requantization.scales, nine)
    edge = bytes([-params.input_offset & 0xFF]) * channels
    scratch = context.scratch(_POINTER_BYTES * (count + count % 2))
    arguments = (
        call.input,
        context.constant("packed_weights", DType.I32, (len(packed) // 4,), packed),
        context.constant("edge", DType.I8, (channels,), edge) if call.leaves_image else None,
        call.output,
        scratch,
    )
    starts = window_starts(params.batch, params.input, params.output, params.window)
    pixels = in_rows(len(starts), len(starts), 1)
    return replace(
        step,
        kernel=f"dsp_depthwise_{'3x3_' if nine else ''}{requantization.form}",
        source="dsp_depthwise",
        params=DspDepthwiseParams(
            params.batch, params.input, params.output.extent, params.window, requantization.limits
        ),
        arguments=arguments,
        writes=(call.output, scratch),
        inplace={call.input: distance(starts, channels, pixels, rereads=True)},
    )
