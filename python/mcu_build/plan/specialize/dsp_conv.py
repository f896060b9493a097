"""Convolutions by firmware/kernels/dsp/dsp_conv2d: which kernel takes a step, and its packed weights."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from mcu_build.ir.calls.convolution import Conv2d, DepthwiseConv2d
from mcu_build.ir.calls.struct import ONE, ImageSize, Struct, Window
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.plan.specialize.context import Context
from mcu_build.plan.specialize.dsp_packing import Bytes, padded, takes_parts, tiles
from mcu_build.plan.specialize.dsp_rescale import DspBounds, Rescaling, array, convolution

_GROUP_BYTES = 16  # of the patch, for four products


@dataclass(frozen=True)
class DspTileParams(Struct):
    """Parameters of dsp_conv2d.h: the tile of all of them."""

    groups: int
    pairs: int
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
    """Packed weights of the tile, and what goes with them."""

    packed: bytes
    pairs: int
    groups: int
    unroll: int
    channels: int
    rescaling: Rescaling

    @property
    def params(self) -> DspTileParams:
        """The parameters of the tile."""
        return DspTileParams(self.groups, self.pairs, self.channels, self.rescaling.limits)

    def kernel(self, stem: str) -> str:
        """The function of dsp_conv2d.h for this form and unrolling."""
        return f"{stem}_{self.rescaling.form}_x{self.unroll}"


def conv2d(context: Context, step: Step, call: Conv2d) -> Step | None:
    """conv2d_s8 of one group with constant weights."""
    weights = array(context, call.weights, np.int8)
    if weights is None or call.params.groups != 1:
        return None
    return _convolution(context, step, call, weights)


def one_channel(context: Context, step: Step, call: DepthwiseConv2d) -> Step | None:
    """depthwise_conv2d_s8 of an image with one channel: a convolution like any other."""
    weights = array(context, call.weights, np.int8)
    if weights is None or call.params.input.channels != 1:
        return None
    return _convolution(context, step, call, weights.transpose(3, 1, 2, 0))


def unrolling(products: Iterable[int]) -> int:
    """That which makes sums of so many products in the fewest instructions."""
    groups = [-(-count // 4) for count in products]
    # 51 instructions for a turn of four groups, 27 for one of two.
    four, two = sum(-(-n // 4) * 51 for n in groups), sum(-(-n // 2) * 27 for n in groups)
    return 4 if four <= two else 2


def tiling(weights: Bytes, rescaling: Rescaling, unroll: int | None = None) -> Tiling:
    """Packed weights from [channels][products]; an unrolling of 0 takes sums of any size."""
    bounds = rescaling.bounds
    if unroll is None:
        long = takes_parts(weights, bounds)
        unroll, bounds = (0, np.zeros_like(bounds)) if long else (unrolling([weights.shape[1]]), bounds)
    flat = padded(weights, max(unroll, 1))
    packed, pairs = tiles(flat, rescaling.scales, bounds)
    return Tiling(packed, pairs, flat.shape[1] // 4, unroll, len(weights), rescaling)


def _convolution(context: Context, step: Step, call: Conv2d | DepthwiseConv2d, weights: Bytes) -> Step | None:
    given, pad_value = call.params, -call.params.input_offset
    # The edge is filled with the value that adds nothing.
    if given.window.dilation != ONE or not -128 <= pad_value <= 127:
        return None
    channels = len(weights)
    rescaling = convolution(context, call, weights.reshape(channels, -1))
    if rescaling is None:
        return None
    found = tiling(weights.reshape(channels, -1), rescaling)
    depth = given.input.channels
    if given.window.is_pointwise:
        return pointwise_step(context, step, found, given.batch * given.input.pixels, depth)
    params = DspConv2dParams(given.batch, given.input, given.output, given.window, pad_value, found.params)
    if depth % 4 == 0:
        made = _step(context, step, found, "dsp_conv2d", params)
    else:
        made = _step(context, step, found, "dsp_conv2d_bytes", params, 8 + weights[0].size)
    starts = window_starts(given.batch, given.input, given.output, given.window)
    return replace(made, inplace={call.input: distance(starts, given.output.width, 2, channels)})


def pointwise_step(context: Context, step: Step, found: Tiling, pixels: int, depth: int) -> Step:
    """A step of dsp_pointwise in place of `step`, whose input is argument 0."""
    made = _step(context, step, found, "dsp_pointwise", DspPointwiseParams(pixels, depth, found.params))
    starts = [depth * pixel for pixel in range(pixels)]
    return replace(made, inplace={made.reads[0]: distance(starts, pixels, 2, found.channels)})


def _step(context: Context, step: Step, found: Tiling, stem: str, params: Struct, beyond: int = 0) -> Step:
    """A step of `stem`, with `beyond` bytes behind the patch."""
    packed = context.constant("packed_weights", DType.I32, (len(found.packed) // 4,), found.packed)
    patch = context.scratch(_GROUP_BYTES * found.groups + -(-beyond // 4) * 4)
    output = step.writes[0]
    return replace(
        step,
        kernel=found.kernel(stem),
        source="dsp_conv2d",
        params=params,
        arguments=(step.arguments[0], packed, output, patch),
        writes=(output, patch),
    )


def window_starts(batch: int, image: ImageSize, output: ImageSize, window: Window) -> list[int]:
    """For each pixel of the output, in order, the first byte of the image that its window reads."""
    stride, padding = window.stride, window.padding
    found = []
    for n in range(batch):
        for oy in range(output.height):
            y = min(max(0, oy * stride.y - padding.y), image.height)
            for ox in range(output.width):
                x = min(max(0, ox * stride.x - padding.x), image.width)
                found.append(((n * image.height + y) * image.width + x) * image.channels)
    return found


def distance(starts: Iterable[int], width: int, together: int, channels: int) -> int:
    """As Call.inplace_distances, for kernels that read `together` pixels of a row before they write any.

    A row has `width` pixels. `starts` are the first bytes that each pixel reads; those of the pixels behind
    are still needed. With 0 together, a pixel is read until its last byte is written.
    """
    first = list(starts)
    needed = [*first, first[-1] + (1 << 40)]
    for pixel in range(len(first) - 1, -1, -1):
        needed[pixel] = min(needed[pixel], needed[pixel + 1])
    found = 0
    for row in range(0, len(first), width):
        for pixel in range(row, row + width, max(together, 1)):
            end = min(pixel + max(together, 1), row + width)
            found = max(found, end * channels - needed[end if together else pixel])
    return found
