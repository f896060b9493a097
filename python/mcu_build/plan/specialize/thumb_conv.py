"""Convolutions by firmware/kernels/thumb/thumb_conv2d: which kernel takes a step, and its packed weights."""

from dataclasses import dataclass, replace

import numpy as np

from mcu_build.ir.calls.convolution import Conv2d, DepthwiseConv2d
from mcu_build.ir.calls.struct import ImageSize, Struct, Window
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.function import Finish
from mcu_build.kernels.thumb import tile as family
from mcu_build.plan.specialize.context import Context
from mcu_build.plan.specialize.dsp_conv import distance, window_starts
from mcu_build.plan.specialize.dsp_packing import Bytes
from mcu_build.plan.specialize.dsp_rescale import DspBounds, Rescaling, array, convolution
from mcu_build.plan.specialize.thumb_packing import fits_blocks, tiles

_PIXELS = 4  # made together
_PATCH_BYTES = 2 * _PIXELS  # for a product
# Magnitude of sums that the requantization of Armv6-M takes (thumb/rescale.h), less than it can.
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


def conv2d(context: Context, step: Step, call: Conv2d, *, thumb2: bool) -> Step | None:
    """Constant weights."""
    weights = array(context, call.weights, np.int8)
    return None if weights is None else _convolution(context, step, call, weights, call.params.groups, thumb2)


def depthwise(context: Context, step: Step, call: DepthwiseConv2d, *, thumb2: bool) -> Step | None:
    """Several outputs for each channel of the input, which is a group of its own."""
    weights = array(context, call.weights, np.int8)
    if weights is None:
        return None
    groups = call.params.input.channels
    return _convolution(context, step, call, weights.transpose(3, 1, 2, 0), groups, thumb2)


def finish_of(rescaling: Rescaling) -> Finish:
    """What an emitted core does to sums beside multiplying and shifting."""
    return Finish(rescaling.form != "relu", rescaling.form == "bounded")


def takes(rescaling: Rescaling) -> bool:
    """Whether thumb/rescale.h can do a rescaling."""
    return bool((rescaling.bounds + np.abs(rescaling.scales[:, 0]) // 2 < _MOST).all())


def _convolution(
    context: Context,
    step: Step,
    call: Conv2d | DepthwiseConv2d,
    weights: Bytes,
    groups: int,
    thumb2: bool,
) -> Step | None:
    """By weights [channels][y][x][channels of a group's input]."""
    given, pad_value = call.params, -call.params.input_offset
    # The edge is filled with the value that adds nothing.
    if not -128 <= pad_value <= 127:
        return None
    channels = len(weights)
    flat = weights.reshape(channels, -1)
    rescaling = convolution(context, call, flat)
    if rescaling is None or not takes(rescaling) or not fits_blocks(flat):
        return None
    loop = family.loop_of(flat.shape[1], context.optimize == "size")
    products = 2 * loop.padded(-(-flat.shape[1] // 2))
    tile = ThumbTileParams(products, channels, rescaling.limits)
    packed = tiles(flat, rescaling.scales, products)
    patch = context.scratch(_PATCH_BYTES * products)
    arguments: list[int | None] = [
        call.input,
        context.constant("packed_weights", DType.I32, (len(packed) // 4,), packed),
    ]
    if given.window.is_pointwise and groups == 1:
        kernel = "thumb_pointwise"
        params: Struct = ThumbPointwiseParams(given.batch * given.input.pixels, given.input.channels, tile)
    else:
        edge = bytes([pad_value & 0xFF]) * given.input.channels
        arguments.append(context.constant("edge", DType.I8, (len(edge),), edge))
        kernel = "thumb_conv2d"
        depth = given.input.channels // groups
        params = ThumbConv2dParams(given.batch, given.input, given.output, given.window, groups, depth, tile)
    starts = window_starts(given.batch, given.input, given.output, given.window)
    return replace(
        step,
        kernel=kernel,
        source="thumb_conv2d",
        params=params,
        arguments=(*arguments, call.output, patch),
        writes=(call.output, patch),
        inplace={call.input: _distance(starts, channels, groups)},
        core=family.emit(loop, finish_of(rescaling), thumb2),
    )


def _distance(starts: list[int], channels: int, groups: int) -> int:
    """As Call.inplace_distances.

    Of several groups, the first are stored while others are still to be read.
    """
    found = distance(starts, len(starts), _PIXELS, channels)
    if groups == 1:
        return found
    needed = np.minimum.accumulate(starts[::-1])[::-1][::_PIXELS]
    ends = np.minimum(np.arange(len(needed)) * _PIXELS + _PIXELS, len(starts)) * channels
    return max(found, int((ends - needed).max()))
