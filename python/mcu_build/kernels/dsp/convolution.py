"""Convolutions by firmware/kernels/dsp/dsp_conv2d: which kernel takes a step, and its packed weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mcu_build.ir.calls.convolution import Conv2d, DepthwiseConv2d
from mcu_build.ir.calls.struct import ONE, ImageSize, Struct, Window
from mcu_build.ir.plan import Emitted, Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.context import Context, Way
from mcu_build.kernels.dsp import tile_core
from mcu_build.kernels.dsp.one_row import row_cycles, row_step
from mcu_build.kernels.dsp.packing import Bytes, follow, padded, pairwise, quads, takes_parts
from mcu_build.kernels.dsp.requantize import DspBounds, DspRequantization, array, convolution
from mcu_build.kernels.overlap import distance, in_rows, window_starts

_GROUP_BYTES = 16  # of the im2col buffer, for four products


@dataclass(frozen=True)
class DspTileParams(Struct):
    """Parameters of dsp_conv2d.h: the tile of all of them."""

    groups: int
    words: int
    channels: int
    bounds: DspBounds


@dataclass(frozen=True)
class DspConv2dParams(Struct):
    """Parameters of dsp_conv2d.h."""

    batch: int
    input: ImageSize
    output: ImageSize
    window: Window
    pad_value: int
    tile: DspTileParams


@dataclass(frozen=True)
class DspPointwiseParams(Struct):
    """Parameters of dsp_conv2d.h, for windows of one pixel."""

    pixels: int
    depth: int
    tile: DspTileParams


@dataclass(frozen=True)
class Tiling:
    """Packed weights of the tile, and what goes with them. Sums of any size have no core."""

    packed: bytes
    groups: int
    channels: int
    requantization: DspRequantization
    core: Emitted | None

    @property
    def params(self) -> DspTileParams:
        """The parameters of the tile."""
        return DspTileParams(self.groups, len(self.packed) // 4, self.channels, self.requantization.limits)

    def kernel(self, stem: str) -> str:
        """The function of dsp_conv2d.h."""
        return stem if self.core else f"{stem}_long_{self.requantization.form}"


def conv2d(context: Context, step: Step, call: Conv2d) -> Sequence[Way]:
    """conv2d_s8 of one group with constant weights."""
    weights = array(context, call.weights, np.int8)
    if weights is None or call.params.groups != 1:
        return []
    requantization = convolution(context, call, weights.reshape(len(weights), -1))
    if requantization is None:
        return []
    return dense_convolution(context, step, call, weights.shape, lambda: weights, requantization)


def one_channel(context: Context, step: Step, call: DepthwiseConv2d) -> Sequence[Way]:
    """depthwise_conv2d_s8 of an image with one channel: a convolution like any other."""
    weights = array(context, call.weights, np.int8)
    if weights is None or call.params.input.channels != 1:
        return []
    filters = weights.transpose(3, 1, 2, 0)
    requantization = convolution(context, call, filters.reshape(len(filters), -1))
    if requantization is None:
        return []
    return dense_convolution(context, step, call, filters.shape, lambda: filters, requantization)


def tiling(context: Context, weights: Bytes, requantization: DspRequantization) -> Tiling:
    """Packed weights from [channels][products]."""
    if takes_parts(weights, requantization.bounds):
        flat = padded(weights, 4)
        packed = pairwise(flat, requantization.scales)
        return Tiling(packed, flat.shape[1] // 4, len(weights), requantization, None)
    return tilings(context, [weights], [requantization])[0]


def tilings(
    context: Context, weights: Sequence[Bytes], requantizations: Sequence[DspRequantization]
) -> list[Tiling]:
    """Packed weights of several tiles with one core, each from [channels][products]."""
    form, small = requantizations[0].form, context.optimize == "size"
    loop = tile_core.loop_of([_steps(weight) for weight in weights], small)
    flat = [padded(weight, loop.padded(_steps(weight)) // 2) for weight in weights]
    scaled = list(zip(flat, requantizations, strict=True))
    numbered = not all(follow(kind, scale.bounds) for kind, scale in scaled)
    packed = [quads(kind, scale.scales, scale.bounds, numbered) for kind, scale in scaled]
    # Cores that care for ties are right where none show, and serve more layers.
    epilogue = tile_core.TileEpilogue(form != "relu" or small, form == "bounded", numbered)
    core = tile_core.emit(loop, epilogue, context.dual_issue)
    return [
        Tiling(words, rows.shape[1] // 4, len(rows), scale, core)
        for words, (rows, scale) in zip(packed, scaled, strict=True)
    ]


def _steps(weights: Bytes) -> int:
    """Of two products each, in whole groups."""
    return 2 * -(-int(weights.shape[1]) // 4)


def dense_convolution(
    context: Context,
    step: Step,
    call: Conv2d | DepthwiseConv2d,
    shape: Sequence[int],
    weights: Callable[[], Bytes],
    requantization: DspRequantization,
) -> Sequence[Way]:
    """By weights of this shape, [channels][y][x][channels of the input], zeros between groups."""
    params = call.params
    # The edge is filled with the value that adds nothing.
    if params.window.dilation != ONE or not -128 <= -params.input_offset <= 127:
        return []
    channels, height, width, depth = shape
    pixels = params.batch * params.output.pixels
    if params.window.is_pointwise:
        cycles = tile_core.pointwise_cycles(pixels, depth, channels)
    else:
        cycles = tile_core.window_cycles(pixels, height, height * width * depth, channels, depth % 4 == 0)
    ways = [Way(cycles, lambda: _dense(context, step, call, weights(), requantization))]
    if call.is_one_row:
        products = height * width * depth
        row = Way(
            row_cycles(products, channels),
            lambda: row_step(context, step, weights().reshape(channels, products), requantization),
        )
        return [row, *ways]
    return ways


def _dense(
    context: Context,
    step: Step,
    call: Conv2d | DepthwiseConv2d,
    weights: Bytes,
    requantization: DspRequantization,
) -> Step:
    layer, channels = call.params, len(weights)
    chosen = tiling(context, weights.reshape(channels, -1), requantization)
    depth = layer.input.channels
    if layer.window.is_pointwise:
        return pointwise_step(context, step, chosen, layer.batch * layer.input.pixels, depth)
    params = DspConv2dParams(
        layer.batch, layer.input, layer.output, layer.window, -layer.input_offset, chosen.params
    )
    if depth % 4 == 0:
        made = _step(context, step, chosen, "dsp_conv2d", params)
    else:
        made = _step(context, step, chosen, "dsp_conv2d_bytes", params, 8 + weights[0].size)
    starts = window_starts(layer.batch, layer.input, layer.output, layer.window)
    pairs = in_rows(len(starts), layer.output.width, 2)
    return replace(made, inplace={call.input: distance(starts, channels, pairs)})


def pointwise_step(context: Context, step: Step, chosen: Tiling, pixels: int, depth: int) -> Step:
    """A step of dsp_pointwise in place of `step`, whose input is argument 0."""
    made = _step(context, step, chosen, "dsp_pointwise", DspPointwiseParams(pixels, depth, chosen.params))
    starts, pairs = np.arange(pixels) * depth, in_rows(pixels, pixels, 2)
    return replace(made, inplace={made.reads[0]: distance(starts, chosen.channels, pairs)})


def _step(context: Context, step: Step, chosen: Tiling, stem: str, params: Struct, beyond: int = 0) -> Step:
    """A step of `stem`, with `beyond` bytes behind the im2col buffer."""
    packed = context.constant("packed_weights", DType.I32, (len(chosen.packed) // 4,), chosen.packed)
    im2col = context.scratch(_GROUP_BYTES * chosen.groups + -(-beyond // 4) * 4)
    output = step.writes[0]
    return replace(
        step,
        kernel=chosen.kernel(stem),
        source="dsp_conv2d",
        params=params,
        arguments=(step.arguments[0], packed, output, im2col),
        writes=(output, im2col),
        core=chosen.core,
    )
