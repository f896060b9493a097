"""Convolutions by firmware/kernels/dsp/dsp_conv_taps: dilated, grouped, with a multiplier, transposed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from mcu_build.ir.calls.convolution import Conv2d, Convolution, DepthwiseConv2d, TransposeConv2d
from mcu_build.ir.calls.struct import NONE, ONE, ImageSize, Pair, Struct
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.context import Context, Way
from mcu_build.kernels.dsp import tile_core
from mcu_build.kernels.dsp.convolution import Tiling, dense_convolution, tilings
from mcu_build.kernels.dsp.packing import Bytes, as_words
from mcu_build.kernels.dsp.requantize import DspBounds, array, convolution
from mcu_build.kernels.groups import between_groups

_GROUP_BYTES = 16  # of the im2col buffer, for four products
_PART_WORDS = 12  # of DspPart

Taps = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Part:
    """Weights [channels][tap][depth] for `channels` of the output, and where they apply (DspPart)."""

    weights: Bytes
    channels: slice
    taps: Taps
    row: int
    width: int
    input: int
    output: int


@dataclass(frozen=True)
class DspConvTapsParams(Struct):
    """Parameters of dsp_conv_taps.h."""

    batch: int
    input: ImageSize
    output: ImageSize
    origin: Pair
    step: Pair
    every: Pair
    parts: int
    depth: int
    pad_value: int
    window_bytes: int
    bounds: DspBounds


@dataclass(frozen=True)
class Space:
    """From window to window: where the first begins, and how far apart they and their outputs are."""

    origin: Pair
    step: Pair
    every: Pair


def conv2d(context: Context, step: Step, call: Conv2d) -> Sequence[Way]:
    """Several groups or dilation, constant weights."""
    weights, params = array(context, call.weights, np.int8), call.params
    plain = params.groups == 1 and params.window.dilation == ONE
    return [] if weights is None or plain else _grouped(context, step, call, weights, call.params.groups)


def depthwise(context: Context, step: Step, call: DepthwiseConv2d) -> Sequence[Way]:
    """Any multiplier, constant weights: each input channel is a group."""
    weights = array(context, call.weights, np.int8)
    if weights is None:
        return []
    return _grouped(context, step, call, weights.transpose(3, 1, 2, 0), call.params.input.channels)


def _grouped(
    context: Context, step: Step, call: Conv2d | DepthwiseConv2d, weights: Bytes, groups: int
) -> Sequence[Way]:
    """A part for each group or for some as one, or all dense: by weights [channels][y][x][depth]."""
    params = call.params
    requantization = convolution(context, call, weights.reshape(len(weights), -1))
    if requantization is None or not -128 <= -params.input_offset <= 127:
        return []
    count, height, width, depth = weights.shape
    pixels = params.batch * params.output.pixels

    def way(joined: int) -> Way:
        part = tile_core.gathered_cycles(pixels, height * width, depth * joined, count // groups * joined)
        return Way(groups // joined * part, lambda: _in_parts(context, step, call, weights, groups, joined))

    ways = [way(joined) for joined in range(1, groups + 1) if groups % joined == 0]
    if groups > 1:
        shape = (count, height, width, depth * groups)
        ways += dense_convolution(
            context, step, call, shape, lambda: between_groups(weights, groups, groups), requantization
        )
    return ways


def _in_parts(
    context: Context, step: Step, call: Conv2d | DepthwiseConv2d, weights: Bytes, groups: int, joined: int
) -> Step:
    window = call.params.window
    count, height, width, depth = weights.shape
    wide = between_groups(weights, groups, joined)
    each = count // groups * joined
    taps = tuple(
        (y * window.dilation.y, x * window.dilation.x) for y, x in product(range(height), range(width))
    )
    parts = [
        Part(
            weights=wide[first : first + each].reshape(each, -1, joined * depth),
            channels=slice(first, first + each),
            taps=taps,
            row=0,
            width=call.params.output.width,
            input=first // each * joined * depth,
            output=first,
        )
        for first in range(0, count, each)
    ]
    origin = Pair(-window.padding.y, -window.padding.x)
    made = _step(context, step, call, parts, Space(origin, window.stride, ONE))
    assert made is not None  # the requantization of all channels is exact
    return made


def transpose(context: Context, step: Step, call: TransposeConv2d) -> Step | None:
    """A convolution for each place within a stride, of the weights that reach it."""
    weights = array(context, call.weights, np.int8)
    if weights is None:
        return None
    window, output = call.params.window, call.params.output
    parts = []
    for row, column in product(range(window.stride.y), range(window.stride.x)):
        rows = _reaching(window.size.y, window.stride.y, window.dilation.y, row + window.padding.y)
        columns = _reaching(window.size.x, window.stride.x, window.dilation.x, column + window.padding.x)
        chosen = weights[:, [k for k, _ in rows]][:, :, [k for k, _ in columns]]
        parts.append(
            Part(
                weights=chosen.reshape(len(weights), -1, weights.shape[3]),
                channels=slice(None),
                taps=tuple(product((y for _, y in rows), (x for _, x in columns))),
                row=row,
                width=len(range(column, output.width, window.stride.x)),
                input=0,
                output=column * output.channels,
            )
        )
    return _step(context, step, call, parts, Space(NONE, ONE, window.stride))


def _reaching(size: int, stride: int, dilation: int, place: int) -> list[tuple[int, int]]:
    """The weights along an axis that reach the outputs `place`, `place` + stride ..., by their number.

    With each, the first input that it takes there. Places are counted from the padding on.
    """
    starts = [(k, place - k * dilation) for k in range(size)]
    return [(k, start // stride) for k, start in starts if start % stride == 0]


def _step(
    context: Context, step: Step, call: Convolution, parts: Sequence[Part], space: Space
) -> Step | None:
    layer, pad_value = call.params, -call.params.input_offset
    ways = _tilings(context, call, parts)
    if ways is None or not -128 <= pad_value <= 127:
        return None
    depth = parts[0].weights.shape[2]
    table = list(dict.fromkeys(part.taps for part in parts))
    packed = b"".join(
        _packed(part, made, sum(len(taps) for taps in table[: table.index(part.taps)]))
        for part, made in zip(parts, ways, strict=True)
    )
    image = layer.input
    places = [(y, x, (y * image.width + x) * image.channels) for taps in table for y, x in taps]
    window_bytes = -(-max(len(part.taps) for part in parts) * depth // 4) * 4
    im2col = context.scratch(window_bytes + _GROUP_BYTES * max(made.groups for made in ways))
    params = DspConvTapsParams(
        batch=layer.batch,
        input=layer.input,
        output=layer.output,
        origin=space.origin,
        step=space.step,
        every=space.every,
        parts=len(parts),
        depth=depth,
        pad_value=pad_value,
        window_bytes=window_bytes,
        bounds=ways[0].requantization.limits,
    )
    return replace(
        step,
        kernel="dsp_conv_taps",
        source="dsp_conv_taps",
        params=params,
        arguments=(
            call.input,
            context.constant("packed_weights", DType.I32, (len(packed) // 4,), packed),
            context.constant("taps", DType.I32, (len(places), 3), as_words(np.array(places, np.int64))),
            call.output,
            im2col,
        ),
        writes=(call.output, im2col),
        core=ways[0].core,
    )


def _tilings(context: Context, call: Convolution, parts: Sequence[Part]) -> list[Tiling] | None:
    """Packed weights of each part, all for one core."""
    # A part that no weight reaches has one of zero.
    flat = [part.weights.reshape(len(part.weights), -1) for part in parts]
    flat = [weights if weights.shape[1] else np.zeros((len(weights), 1), np.int8) for weights in flat]
    result = []
    for part, weights in zip(parts, flat, strict=True):
        requantization = convolution(context, call, weights, part.channels)
        if requantization is None:
            return None
        result.append(requantization)
    return tilings(context, flat, result)


def _packed(part: Part, made: Tiling, first_tap: int) -> bytes:
    """DspPart and what follows it."""
    rows, columns = [y for y, _ in part.taps] or [0], [x for _, x in part.taps] or [0]
    header = [
        _PART_WORDS + len(made.packed) // 4,
        first_tap,
        len(part.taps),
        made.groups,
        part.row,
        part.width,
        part.input,
        part.output,
        *(min(rows), min(columns)),
        *(max(rows), max(columns)),
    ]
    return as_words(np.array(header, np.int64)) + made.packed
