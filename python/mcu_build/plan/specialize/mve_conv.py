"""Convolutions by firmware/kernels/mve: which kernel takes a step, and its packed weights."""

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from mcu_build.ir.calls.convolution import (
    Conv2d,
    Conv2dParams,
    Convolution,
    DepthwiseConv2d,
    DepthwiseConv2dParams,
    TransposeConv2d,
)
from mcu_build.ir.calls.struct import NONE, ONE, ImageSize, OutputStage, Pair, Struct, Window
from mcu_build.ir.plan import Emitted, Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.groups import between_groups
from mcu_build.kernels.helium import convolution, tile_core
from mcu_build.plan.specialize.context import Context
from mcu_build.plan.specialize.mve_packing import (
    LANES,
    Bytes,
    Ints,
    Requantization,
    Scales,
    linear_weights,
    quads_of_weights,
    scales,
)

_PIXELS = 3  # that a kernel computes at once
# Kernels whose tiles are four pixels of one row.
_EVEN = ("mve_pointwise_tiles_s8", "mve_image_tiles_s8", "mve_dense_tiles_s8")
# Modelled cycles of a Cortex-M55: to call a core, to begin with windows of a row, and to copy a row of four
# windows, beside those for each of its vectors.
_CALL, _RUN, _ROW, _VECTOR = 100, 80, 20, 4
_ROOMS = (1024, 384, 0)  # bytes of dense windows

P = TypeVar("P", bound=Conv2dParams | DepthwiseConv2dParams)


@dataclass(frozen=True)
class MveConvStage(Struct):
    """Parameters of mve_conv2d.h: what follows the sums."""

    channels: int
    whole: bool
    plain: bool
    ties: bool
    low: int
    high: int

    @property
    def of_tiles(self) -> "MveTileStage":
        """The same for tiles, whose cores know the rest."""
        return MveTileStage(self.channels, self.low, self.high)


@dataclass(frozen=True)
class MvePointwiseParams(Struct):
    """Parameters of mve_conv2d.h, for windows of one pixel."""

    pixels: int
    vectors: int
    stage: MveConvStage


@dataclass(frozen=True)
class MveConvParams(Struct):
    """Parameters of mve_conv2d.h."""

    batch: int
    input: ImageSize
    output: Pair
    window: Window
    pad_value: int
    vectors: int
    stage: MveConvStage


@dataclass(frozen=True)
class MveSideBySideParams(Struct):
    """Parameters of mve_conv2d.h, for transposed convolutions whose windows do not overlap."""

    input_rows: int
    window_rows: int
    row: MvePointwiseParams


@dataclass(frozen=True)
class MveTileStage(Struct):
    """Parameters of mve_conv_tiles.h: what follows the sums."""

    channels: int
    low: int
    high: int


@dataclass(frozen=True)
class MvePointwiseTilesParams(Struct):
    """Parameters of mve_conv_tiles.h, for windows of one pixel."""

    pixels: int
    depth: int
    stage: MveTileStage


@dataclass(frozen=True)
class MveWindowTilesParams(Struct):
    """Parameters of mve_conv_tiles.h."""

    batch: int
    input: ImageSize
    output: Pair
    window: Window
    pad_value: int
    pixel: int
    vector: int
    patch_bytes: int
    rounds: int
    stage: MveTileStage


@dataclass(frozen=True)
class MveGroups(Struct):
    """Parameters of mve_conv_tiles.h: convolutions of a part of the channels each."""

    count: int
    depth: int
    weights: int


@dataclass(frozen=True)
class MveGroupedTilesParams(Struct):
    """Parameters of mve_conv_tiles.h, for several groups."""

    windows: MveWindowTilesParams
    groups: MveGroups


@dataclass(frozen=True)
class MveTransposedTilesParams(Struct):
    """Parameters of mve_conv_tiles.h, for transposed convolutions whose windows overlap."""

    windows: MveWindowTilesParams
    stride: Pair
    first: Pair
    second: Pair
    weights: int


def conv2d(context: Context, step: Step, call: Conv2d) -> Step | None:
    """Constant weights."""
    weights = constant_bytes(context, call.weights)
    if weights is None:
        return None
    if call.params.groups != 1:
        return _grouped(context, step, call, weights)
    return _convolution(context, step, call, weights)


def one_channel(context: Context, step: Step, call: DepthwiseConv2d) -> Step | None:
    """An image with one channel: a convolution like any other."""
    if call.params.input.channels != 1:
        return None
    weights = constant_bytes(context, call.weights)
    return None if weights is None else _convolution(context, step, call, weights.transpose(3, 1, 2, 0))


def side_by_side(context: Context, step: Step, call: TransposeConv2d) -> Step | None:
    """Windows that do not overlap and fill the output."""
    given, weights = call.params, constant_bytes(context, call.weights)
    image, size = given.input, given.window.size
    fits = (given.window.stride, given.window.padding, given.window.dilation) == (size, NONE, ONE)
    fills = given.output.extent == Pair(image.height * size.y, image.width * size.x)
    vectors, rest = divmod(image.channels, LANES)
    if weights is None or not (fits and fills) or rest or image.width < _PIXELS:
        return None
    # A row of the window after the other: channels [row][column][output].
    rows = weights.transpose(1, 2, 0, 3).reshape(-1, image.channels)
    wanted = requantization(context, call, rows, copies=size.product)
    rescaling = None if wanted is None else scales(wanted)
    if rescaling is None:
        return None
    channels = size.x * len(weights)
    lines = [slice(ky * channels, (ky + 1) * channels) for ky in range(size.y)]
    row = MvePointwiseParams(image.width, vectors, _stage(rescaling, channels, given.stage))
    packed = b"".join(quads_of_weights(rows[line]) for line in lines)
    scale = b"".join(rescaling.part(line).quads() for line in lines)
    params = MveSideBySideParams(given.batch * image.height, size.y, row)
    return _packed(context, step, call, "mve_side_by_side_s8", params, packed, scale)


def transposed(context: Context, step: Step, call: TransposeConv2d) -> Step | None:
    """Strides up to 2, without gaps: a convolution for each phase of the output."""
    given, weights = call.params, constant_bytes(context, call.weights)
    size, stride = given.window.size, given.window.stride
    fits = stride.y <= min(2, size.y) and stride.x <= min(2, size.x) and given.window.dilation == ONE
    if weights is None or not fits or context.optimize == "size":
        return None
    taps, first, second = convolution.phases_of(weights, stride, given.window.padding)
    count, outputs, height, width, inputs = taps.shape
    wanted = requantization(context, call, taps.reshape(count * outputs, -1), copies=count)
    rescaling = None if wanted is None else scales(wanted)
    if rescaling is None or not -128 <= -given.input_offset <= 127:
        return None
    patch = convolution.patch_of(height, width * inputs)
    parts = [slice(phase * outputs, (phase + 1) * outputs) for phase in range(count)]
    packed = b"".join(linear_weights(patch.vectors_of(phase.reshape(outputs, -1))) for phase in taps)
    scale = b"".join(rescaling.part(part).quads() for part in parts)
    windows = MveWindowTilesParams(
        batch=given.batch,
        input=given.input,
        output=given.output.extent,
        window=Window(Pair(height, width), ONE, NONE, ONE),
        pad_value=-given.input_offset,
        pixel=patch.pixel,
        vector=patch.vector,
        patch_bytes=patch.size,
        rounds=patch.core.rounds,
        stage=_stage(rescaling, outputs, given.stage).of_tiles,
    )
    params = MveTransposedTilesParams(windows, stride, first, second, len(packed) // count)
    scratch = (context.scratch(patch.size + height * width * inputs),)
    found = _packed(context, step, call, "mve_transposed_tiles_s8", params, packed, scale, scratch)
    return replace(found, source="mve_conv_tiles", core=_core(patch.core, rescaling, outputs))


def requantization(
    context: Context, call: Convolution, weights: Bytes, copies: int = 1
) -> Requantization | None:
    """That of a convolution: `weights` are [copies of channels][products].

    The input's offset goes into the bias.
    """
    multipliers, shifts = (constant_words(context, id) for id in (call.multipliers, call.shifts))
    bias = constant_words(context, call.bias)
    if multipliers is None or shifts is None or (bias is None and call.bias is not None):
        return None
    wide, stage = weights.astype(np.int64), call.params.stage
    folded = call.params.input_offset * wide.sum(axis=1) + (0 if bias is None else np.tile(bias, copies))
    return Requantization(
        folded,
        128 * np.abs(wide).sum(axis=1),
        np.tile(multipliers, copies),
        np.tile(shifts, copies),
        stage.zero_point,
        stage.activation_min,
        stage.activation_max,
    )


def _stage(rescaling: Scales, channels: int, stage: OutputStage) -> MveConvStage:
    whole = not rescaling.clamps and channels % 4 == 0
    return MveConvStage(
        channels=channels,
        whole=whole,
        plain=whole and not rescaling.ties,
        ties=rescaling.ties,
        low=stage.activation_min,
        high=stage.activation_max,
    )


def _convolution(context: Context, step: Step, call: Conv2d | DepthwiseConv2d, weights: Bytes) -> Step | None:
    rescaling = _rescaling(context, call, weights)
    if rescaling is None:
        return None
    stage = _stage(rescaling, len(weights), call.params.stage)
    if call.params.window.is_pointwise:
        found = _pointwise(context, step, call, weights, rescaling, stage)
        if found is not None:
            return found
    return _windows(context, step, call, weights, rescaling, stage)


def _rescaling(context: Context, call: Convolution, weights: Bytes) -> Scales | None:
    """That of a convolution whose edge can be filled with the value that adds nothing."""
    wanted = requantization(context, call, weights.reshape(len(weights), -1))
    fills = -128 <= -call.params.input_offset <= 127
    return scales(wanted) if wanted is not None and fills else None


def _pointwise(
    context: Context,
    step: Step,
    call: Conv2d | DepthwiseConv2d,
    weights: Bytes,
    rescaling: Scales,
    stage: MveConvStage,
) -> Step | None:
    channels = call.params.input.channels
    pixels = call.params.batch * call.params.input.pixels
    rows = weights.reshape(len(weights), -1)
    core = convolution.image_core(1, channels, channels, channels % 4 == 0)
    if context.optimize != "size" and core is not None and pixels >= convolution.PIXELS:
        at_once = convolution.PIXELS
        tiles = MvePointwiseTilesParams(pixels, channels, stage.of_tiles)
        packed = convolution.spread(rows)
        found = _in_tiles(context, step, call, "mve_pointwise_tiles_s8", tiles, packed, rescaling, core)
    elif context.optimize == "size" and channels % LANES == 0 and pixels >= _PIXELS:
        at_once = _PIXELS
        params = MvePointwiseParams(pixels, channels // LANES, stage)
        packed_weights = quads_of_weights(rows)
        found = _packed(context, step, call, "mve_pointwise_s8", params, packed_weights, rescaling.quads())
    else:
        return None
    distance = _pointwise_distance(pixels, at_once, channels, len(weights))
    return replace(found, inplace={call.input: distance})


def _pointwise_distance(pixels: int, at_once: int, inputs: int, outputs: int) -> int:
    """As the calls' own distances: while pixels are written, they and those behind them are still read."""
    firsts = [min(pixel, pixels - at_once) for pixel in range(0, pixels, at_once)]
    return max((first + at_once) * outputs - first * inputs for first in firsts)


def _windows(
    context: Context,
    step: Step,
    call: Conv2d | DepthwiseConv2d,
    weights: Bytes,
    rescaling: Scales,
    stage: MveConvStage,
) -> Step:
    given: Conv2dParams | DepthwiseConv2dParams = call.params
    if context.optimize == "size":  # one kernel for all
        rows = weights.reshape(len(weights), -1)
        vectors = -(-rows.shape[1] // LANES)
        params = MveConvParams(
            given.batch, given.input, given.output.extent, given.window, -given.input_offset, vectors, stage
        )
        patch = context.scratch(_PIXELS * LANES * vectors)
        packed, scale = quads_of_weights(rows), rescaling.quads()
        return _packed(context, step, call, "mve_conv_patches_s8", params, packed, scale, (patch,))
    if is_column(given):
        given, weights = lying(given), weights.transpose(0, 2, 1, 3)
        step = replace(step, inplace={})  # a row is computed four pixels by four, the last ones again
    steps = list[Step]()
    for found in _tiles_of(given, weights):
        tiles = _window_params(given, found.places, stage.of_tiles)
        scratch = (context.scratch(found.scratch) if found.scratch else None,)
        args = (step, call, found.kernel, tiles, found.rows, rescaling, found.core, scratch)
        steps.append(_in_tiles(context, *args))
    return replace(steps[0], low_scratch=tuple(steps[1:]))


_Places = tuple[int, int, int, int]


@dataclass(frozen=True)
class _Tiles:
    """A kernel of mve_conv_tiles.h: its weights [channels][vectors * 16], and bytes of scratch memory.

    `cycles` are modelled ones of a Cortex-M55, to compare kernels by; `places` are members of its parameters
    (`_places_of`), 0 where windows are read in the image.
    """

    kernel: str
    core: convolution.Core
    rows: Bytes
    scratch: int
    cycles: int
    places: _Places = (0, 0, 0, 0)


def _places_of(patch: convolution.Patch) -> _Places:
    """`pixel`, `vector`, `patch_bytes` and `rounds` of MveWindowTilesParams."""
    return patch.pixel, patch.vector, patch.size, patch.core.rounds


def _window_params(
    given: Conv2dParams | DepthwiseConv2dParams, places: _Places, stage: MveTileStage
) -> MveWindowTilesParams:
    image = (given.batch, given.input, given.output.extent, given.window, -given.input_offset)
    return MveWindowTilesParams(*image, *places, stage)


def _tiles_of(given: Conv2dParams | DepthwiseConv2dParams, weights: Bytes) -> list[_Tiles]:
    """The kernel of tiles for a convolution with these parameters, the one of the fewest modelled cycles.

    Behind it the same with less scratch memory, where that is a matter of choice.
    """
    ways = [[_in_memory_order(given, weights)], _dense(given, weights), _of_rows(given, weights)]
    return min(filter(None, ways), key=lambda way: way[0].cycles)


def _pieces(given: Conv2dParams | DepthwiseConv2dParams) -> tuple[int, int]:
    """Pieces of a window in memory, and bytes of each."""
    size, channels = given.window.size, given.input.channels
    return (size.y, size.x * channels) if given.window.dilation.x == 1 else (size.product, channels)


def _in_memory_order(given: Conv2dParams | DepthwiseConv2dParams, weights: Bytes) -> _Tiles:
    """The kernel that takes everything, window by window."""
    patch = convolution.patch_of(*_pieces(given))
    edge = weights[0].size if given.window.leaves(given.input, given.output) else 0
    tiles = -(-given.batch * given.output.pixels // convolution.PIXELS)
    quads = -(-len(weights) // convolution.QUAD)
    cycles = tiles * (quads * patch.core.cycles + _CALL + convolution.PIXELS * patch.instructions)
    rows = patch.vectors_of(weights.reshape(len(weights), -1))
    return _Tiles("mve_window_tiles_s8", patch.core, rows, patch.size + edge, cycles, _places_of(patch))


def _dense(given: Conv2dParams | DepthwiseConv2dParams, weights: Bytes) -> list[_Tiles]:
    """Many windows one behind the other, and fewer of them; none where windows or images do not fit."""
    patch, pixels = convolution.dense_patch(*_pieces(given)), given.batch * given.output.pixels
    if patch is None or pixels < convolution.PIXELS:
        return []
    window, width = given.window, given.output.width
    leaves = window.leaves(given.input, given.output)
    rows = patch.vectors_of(weights.reshape(len(weights), -1))
    quads, lines = -(-len(weights) // convolution.QUAD), given.batch * given.output.height
    tiles = -(-pixels // convolution.PIXELS)
    made = (
        tiles * quads * patch.core.cycles + pixels * patch.dense_cycles + lines * _RUN * (3 if leaves else 1)
    )
    places, found = _places_of(patch), list[_Tiles]()
    for room in dict.fromkeys(patch.room(min(most, pixels * patch.pixel)) for most in _ROOMS):
        columns = (min(room, width) - 1) * window.stride.x + (window.size.x - 1) * window.dilation.x + 1
        edge = window.size.y * columns * given.input.channels if leaves else 0
        size = patch.dense_size(room)
        cycles = made + -(-pixels // room) * _CALL
        at = (places[0], places[1], size, places[3])
        found.append(_Tiles("mve_dense_tiles_s8", patch.core, rows, size + edge, cycles, at))
    return found


def _of_rows(given: Conv2dParams | DepthwiseConv2dParams, weights: Bytes) -> list[_Tiles]:
    """Four pixels of a row: where it has five, three are computed twice. In the image or in turns."""
    outputs, height, width, inputs = weights.shape
    stride = given.window.stride.x
    if given.window.dilation.x != 1 or given.output.width < convolution.PIXELS:
        return []
    leaves = given.window.leaves(given.input, given.output)
    edge = height * (width + (convolution.PIXELS - 1) * stride) * inputs if leaves else 0
    lines, quads = given.batch * given.output.height, -(-outputs // convolution.QUAD)
    in_row = -(-given.output.width // convolution.PIXELS)
    core = convolution.image_core(height, width * inputs, stride * inputs, inputs % 4 == 0)
    if core is not None:
        spread = convolution.spread(weights.reshape(outputs * height, -1)).reshape(outputs, -1)
        cycles = lines * (in_row * quads * core.cycles + _CALL * (3 if leaves else 1))
        return [_Tiles("mve_image_tiles_s8", core, spread, edge, cycles)]
    patch = convolution.patch_of(height, width * inputs)
    if patch.core.pitch or patch.nbytes < LANES:
        return []
    copied = height * (_ROW + convolution.PIXELS * _VECTOR * -(-patch.nbytes // LANES))
    cycles = lines * in_row * (quads * patch.core.cycles + _CALL + copied)
    rows, size = patch.vectors_of(weights.reshape(outputs, -1)), patch.size + edge
    return [_Tiles("mve_turns_tiles_s8", patch.core, rows, size, cycles, _places_of(patch))]


def _grouped(context: Context, step: Step, call: Conv2d, weights: Bytes) -> Step | None:
    """Groups, a few at a time where they are narrow, or all as one: weights between those are zero."""
    given = call.params
    rescaling = _rescaling(context, call, weights)
    if rescaling is None or context.optimize == "size":
        return None
    outputs, height, width, depth = weights.shape
    joined = convolution.joined_groups(given.groups, depth)
    count, depth, outputs = given.groups // joined, depth * joined, outputs * joined // given.groups
    wide = between_groups(weights, given.groups, joined)
    patch = convolution.patch_of(height * width, depth)
    pixels = given.batch * given.input.pixels if given.window.is_pointwise else 0
    if convolution.is_quicker_dense(patch, outputs, count, given.input.channels, pixels):
        return _convolution(context, step, call, between_groups(weights, given.groups, given.groups))
    rows = patch.vectors_of(wide.reshape(len(wide), -1))
    parts = [slice(group * outputs, (group + 1) * outputs) for group in range(count)]
    packed = b"".join(linear_weights(rows[part]) for part in parts)
    scale = b"".join(rescaling.part(part).quads() for part in parts)
    windows = _window_params(given, _places_of(patch), _stage(rescaling, outputs, given.stage).of_tiles)
    edge = height * width * given.input.channels if call.leaves_image else 0
    scratch = (context.scratch(count * patch.size + edge),)
    params = MveGroupedTilesParams(windows, MveGroups(count, depth, len(packed) // count))
    found = _packed(context, step, call, "mve_grouped_tiles_s8", params, packed, scale, scratch)
    return replace(found, source="mve_conv_tiles", core=_core(patch.core, rescaling, outputs))


def _in_tiles(
    context: Context,
    step: Step,
    call: Convolution,
    kernel: str,
    params: Struct,
    rows: Bytes,
    rescaling: Scales,
    core: convolution.Core,
    scratch: tuple[int | None, ...] = (),
) -> Step:
    packed, scale = linear_weights(rows), rescaling.quads()
    found = _packed(context, step, call, kernel, params, packed, scale, scratch)
    return replace(found, source="mve_conv_tiles", core=_core(core, rescaling, len(rows), kernel in _EVEN))


def _core(core: convolution.Core, rescaling: Scales, channels: int, even: bool = False) -> Emitted:
    finish = tile_core.TileFinish(rescaling.ties, rescaling.clamps, tile_core.tail_of(channels))
    return tile_core.emit(core, finish, even)


def is_column(given: Conv2dParams | DepthwiseConv2dParams) -> bool:
    """Whether the image is one column of several pixels, and so is what becomes of it."""
    return given.input.width == given.output.width == given.window.size.x == 1 != given.input.height


def lying(given: P) -> P:
    """The parameters of the same layer over an image of one row, where the image is one column."""
    if not is_column(given):
        return given
    window = given.window
    pairs = (window.size, window.stride, window.padding, window.dilation)
    return replace(
        given,
        input=replace(given.input, height=1, width=given.input.height),
        output=replace(given.output, height=1, width=given.output.height),
        window=Window(*(Pair(pair.x, pair.y) for pair in pairs)),
    )


def _packed(
    context: Context,
    step: Step,
    call: Convolution,
    kernel: str,
    params: Struct,
    weights: bytes,
    scales: bytes,
    scratch: tuple[int | None, ...] = (),
) -> Step:
    name = context.tensor(call.weights).name
    packed = context.constant(f"{name} (packed)", DType.I8, (len(weights),), weights)
    scale = context.constant(f"{name} (scales)", DType.I32, (len(scales) // 4,), scales)
    return replace(
        step,
        kernel=kernel,
        source="mve_conv2d",
        params=params,
        arguments=(call.input, packed, scale, call.output, *scratch),
        writes=(call.output, *(id for id in scratch if id is not None)),
    )


def constant_bytes(context: Context, id: int | None) -> Bytes | None:
    """An int8 constant; None where it is absent or no constant."""
    if id is None:
        return None
    tensor = context.tensor(id)
    return None if tensor.data is None else np.frombuffer(tensor.data, np.int8).reshape(tensor.shape)


def constant_words(context: Context, id: int | None) -> Ints | None:
    """The values of an int32 constant; None where it is absent or no constant."""
    if id is None:
        return None
    tensor = context.tensor(id)
    return None if tensor.data is None else np.frombuffer(tensor.data, np.int32).astype(np.int64)
