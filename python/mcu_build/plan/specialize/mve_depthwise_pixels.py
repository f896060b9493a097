"""Depthwise convolutions of few pixels by firmware/kernels/mve/mve_depthwise_pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from mcu_build.ir.calls.convolution import DepthwiseConv2d
from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.plan.specialize.context import Context, Way
from mcu_build.plan.specialize.mve_conv import constant_bytes, scales_of
from mcu_build.plan.specialize.mve_depthwise import distance
from mcu_build.plan.specialize.mve_packing import Bytes, Scales

_BLOCK = 16  # channels at once


@dataclass(frozen=True)
class MveDepthwisePixelsParams(Struct):
    """Parameters of mve_depthwise_pixels.h."""

    rows: int
    columns: int
    row_step: int
    column_step: int
    channels: int
    taps: int
    half_away: bool
    low: int
    high: int


def pixels(context: Context, step: Step, call: DepthwiseConv2d) -> Sequence[Way]:
    """One output a channel, windows within the image."""
    layer, window = call.params, call.params.window
    weights, channels = constant_bytes(context, call.weights), call.params.input.channels
    single = layer.batch == 1 and layer.output.channels == channels and not call.leaves_image
    if weights is None or not single:
        return []
    taps = weights.reshape(-1, channels)
    requantization = scales_of(context, call, taps.T)
    if requantization is None or not _fit_int16(taps):
        return []
    column, row = channels, channels * layer.input.width
    params = MveDepthwisePixelsParams(
        rows=layer.output.height,
        columns=layer.output.width,
        row_step=window.stride.y * row,
        column_step=window.stride.x * column,
        channels=channels,
        taps=len(taps),
        half_away=requantization.half_away,
        low=layer.epilogue.activation_min,
        high=layer.epilogue.activation_max,
    )
    places = product(range(window.size.y), range(window.size.x))
    offsets = [y * window.dilation.y * row + x * window.dilation.x * column for y, x in places]
    blocks = -(-channels // _BLOCK)
    cycles = 30 + layer.output.pixels * (10 + blocks * (80 + 17 * len(taps)))
    return [Way(cycles, lambda: _step(context, step, call, params, offsets, _records(taps, requantization)))]


def _step(
    context: Context,
    step: Step,
    call: DepthwiseConv2d,
    params: MveDepthwisePixelsParams,
    offsets: Sequence[int],
    records: bytes,
) -> Step:
    name = context.tensor(call.weights).name
    places = np.array(offsets, np.int32).tobytes()
    constants = (
        context.constant(f"{name} (offsets)", DType.I32, (len(offsets),), places),
        context.constant(f"{name} (packed)", DType.I8, (len(records),), records),
    )
    return replace(
        step,
        kernel="mve_depthwise_pixels_s8",
        source="mve_depthwise_pixels",
        params=params,
        arguments=(call.input, *constants, call.output),
        inplace={call.input: distance(call.params, 1, 1)},
        inplace_multiple=params.channels,
    )


def _fit_int16(taps: Bytes) -> bool:
    """Whether the products of a tap and the next one are no more than 32,640 together, with any input."""
    wide = np.pad(taps.astype(np.int32), ((0, len(taps) % 2), (0, 0)))
    return bool((wide[::2] + wide[1::2] > -256).all())


def _records(taps: Bytes, requantization: Scales) -> bytes:
    """[taps][channels] as [blocks][taps][16], and behind each its biases, multipliers, addends and shifts."""
    missing = -taps.shape[1] % _BLOCK
    weights = np.pad(taps, ((0, 0), (0, missing))).reshape(len(taps), -1, _BLOCK).transpose(1, 0, 2)
    rows = np.stack(
        [requantization.bias, requantization.multiplier, requantization.addend, requantization.shift]
    )
    # Of 16 channels as [4][2][2]: 0, 4, 8, 12 first, then those two behind them, then the odd ones.
    split = np.pad(rows, ((0, 0), (0, missing))).reshape(4, -1, 4, 2, 2)
    numbers = split.transpose(1, 0, 4, 3, 2).astype(np.int32)
    return b"".join(part.tobytes() for block in zip(weights, numbers, strict=True) for part in block)
