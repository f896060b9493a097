"""Convolutions by firmware/kernels/thumb/thumb_conv2d: which kernel takes a step, and its packed weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mcu_build.ir.calls.convolution import Conv2d, DepthwiseConv2d
from mcu_build.ir.calls.matmul import Linear
from mcu_build.ir.calls.struct import ImageSize, Struct, Window
from mcu_build.ir.plan import Emitted, Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.context import Context, Way
from mcu_build.kernels.dsp.packing import Bytes
from mcu_build.kernels.dsp.requantize import DspBounds, DspRequantization, array, convolution
from mcu_build.kernels.function import Epilogue
from mcu_build.kernels.overlap import Ints, distance, in_rows, window_starts
from mcu_build.kernels.thumb import tile_core as family
from mcu_build.kernels.thumb.packing import fits_blocks, tiles

_PIXELS = 4  # made together
_IM2COL_BYTES = 2 * _PIXELS  # for a product
# Magnitude of sums that the requantization of Armv6-M takes (thumb/requantize.h), less than it can.
_MOST = 1 << 28


@dataclass(frozen=True)
class ThumbTileParams(Struct):
    """Parameters of thumb_conv2d.h: the tile of both of them."""

    products: int
    channels: int
    bounds: DspBounds


@dataclass(frozen=True)
class ThumbConv2dParams(Struct):
    """Parameters of thumb_conv2d.h."""

    batch: int
    input: ImageSize
    output: ImageSize
    window: Window
    groups: int
    depth: int
    tile: ThumbTileParams


@dataclass(frozen=True)
class ThumbPointwiseParams(Struct):
    """Parameters of thumb_conv2d.h, for windows of one pixel."""

    pixels: int
    depth: int
    tile: ThumbTileParams


def conv2d(context: Context, step: Step, call: Conv2d, *, thumb2: bool) -> Sequence[Way]:
    """Constant weights."""
    weights = array(context, call.weights, np.int8)
    return [] if weights is None else _convolution(context, step, call, weights, call.params.groups, thumb2)


def depthwise(context: Context, step: Step, call: DepthwiseConv2d, *, thumb2: bool) -> Sequence[Way]:
    """Each channel of the input as a group of its own."""
    weights = array(context, call.weights, np.int8)
    if weights is None:
        return []
    groups = call.params.input.channels
    return _convolution(context, step, call, weights.transpose(3, 1, 2, 0), groups, thumb2)


def epilogue_of(requantization: DspRequantization) -> Epilogue:
    """What an emitted core does to sums beside multiplying and shifting."""
    return Epilogue(requantization.form != "relu", requantization.form == "bounded")


def takes(requantization: DspRequantization) -> bool:
    """Whether thumb/requantize.h can do a requantization."""
    return bool((requantization.bounds + np.abs(requantization.scales[:, 0]) // 2 < _MOST).all())


def _convolution(
    context: Context,
    step: Step,
    call: Conv2d | DepthwiseConv2d,
    weights: Bytes,
    groups: int,
    thumb2: bool,
) -> Sequence[Way]:
    """By weights [channels][y][x][channels of a group's input]."""
    params = call.params
    # The edge is filled with the value that adds nothing.
    if not -128 <= -params.input_offset <= 127:
        return []
    flat = weights.reshape(len(weights), -1)
    requantization = convolution(context, call, flat)
    if requantization is None or not takes(requantization) or not fits_blocks(flat):
        return []
    tile = tile_of(context, flat, requantization, thumb2)
    pixels = params.batch * params.output.pixels
    if params.window.is_pointwise and groups == 1:
        cycles = family.cycles(tile.loop, pixels, flat.shape[1], flat.shape[1], len(flat))
        return [Way(cycles, lambda: pointwise_step(context, step, call, tile))]
    window = family.WINDOW + family.TAP * params.window.size.product + flat.shape[1]
    cycles = groups * family.cycles(tile.loop, pixels, window, flat.shape[1], len(flat) // groups)
    return [Way(cycles, lambda: _windows(context, step, call, tile, groups))]


@dataclass(frozen=True)
class Tile:
    """Weights [channels][products], and the core that makes their sums."""

    weights: Bytes
    requantization: DspRequantization
    loop: family.Loop
    thumb2: bool

    @property
    def params(self) -> ThumbTileParams:
        """The parameters of the tile."""
        return ThumbTileParams(self.products, len(self.weights), self.requantization.limits)

    @property
    def products(self) -> int:
        """Of a channel, those beyond the weights of zeros."""
        return 2 * self.loop.padded(-(-self.weights.shape[1] // 2))

    @property
    def core(self) -> Emitted:
        """The core as a function of C++."""
        return family.emit(self.loop, epilogue_of(self.requantization), self.thumb2)

    def packed(self, context: Context) -> int:
        """The constant of packed weights."""
        packed = tiles(self.weights, self.requantization.scales, self.products)
        return context.constant("packed_weights", DType.I32, (len(packed) // 4,), packed)


def tile_of(context: Context, flat: Bytes, requantization: DspRequantization, thumb2: bool) -> Tile:
    """The tile for weights [channels][products]."""
    return Tile(flat, requantization, family.loop_of(flat.shape[1], context.optimize == "size"), thumb2)


def pointwise_step(context: Context, step: Step, call: Conv2d | DepthwiseConv2d | Linear, tile: Tile) -> Step:
    """A step for windows of one pixel, or for rows."""
    depth = tile.weights.shape[1]
    pixels = context.tensor(call.input).nbytes // depth
    params = ThumbPointwiseParams(pixels, depth, tile.params)
    starts = np.arange(pixels) * depth
    return _step(
        context, step, call, tile, "thumb_pointwise", params, (), _distance(starts, len(tile.weights), 1)
    )


def _windows(context: Context, step: Step, call: Conv2d | DepthwiseConv2d, tile: Tile, groups: int) -> Step:
    layer = call.params
    edge = bytes([-layer.input_offset & 0xFF]) * layer.input.channels
    outside = (context.constant("edge", DType.I8, (len(edge),), edge),)
    depth = layer.input.channels // groups
    params = ThumbConv2dParams(
        layer.batch, layer.input, layer.output, layer.window, groups, depth, tile.params
    )
    starts = window_starts(layer.batch, layer.input, layer.output, layer.window)
    return _step(
        context,
        step,
        call,
        tile,
        "thumb_conv2d",
        params,
        outside,
        _distance(starts, len(tile.weights), groups),
    )


def _step(
    context: Context,
    step: Step,
    call: Conv2d | DepthwiseConv2d | Linear,
    tile: Tile,
    kernel: str,
    params: Struct,
    outside: tuple[int, ...],
    distance: int,
) -> Step:
    im2col = context.scratch(_IM2COL_BYTES * tile.products)
    return replace(
        step,
        kernel=kernel,
        source="thumb_conv2d",
        params=params,
        arguments=(call.input, tile.packed(context), *outside, call.output, im2col),
        writes=(call.output, im2col),
        inplace={call.input: distance},
        core=tile.core,
    )


def _distance(starts: Ints, channels: int, groups: int) -> int:
    """As Call.inplace_distances.

    Of several groups, the first are stored while others are still to be read.
    """
    return distance(starts, channels, in_rows(len(starts), len(starts), _PIXELS), rereads=groups > 1)
