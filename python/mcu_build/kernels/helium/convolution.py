"""Convolutions of one group by firmware/kernels/mve: the kernels that take one, and what each costs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from mcu_build.ir.calls.convolution import Conv2d, Conv2dParams, DepthwiseConv2d, DepthwiseConv2dParams
from mcu_build.ir.calls.matmul import Linear
from mcu_build.ir.calls.struct import ImageSize, OutputEpilogue, Pair, Struct, Window
from mcu_build.ir.plan import Step
from mcu_build.kernels.context import Context, Way
from mcu_build.kernels.helium import tile_shapes
from mcu_build.kernels.helium.packing import (
    LANES,
    Bytes,
    Scales,
    linear_weights,
    quads_of_weights,
    row_tiles,
)
from mcu_build.kernels.helium.tile_params import (
    MveConvEpilogue,
    MveTileEpilogue,
    Places,
    constant_bytes,
    core_of,
    epilogue_of,
    is_column,
    lying,
    packed_step,
    places_of,
    scales_of,
    window_params,
)
from mcu_build.kernels.overlap import distance, in_rows, in_tiles, window_starts

PIXELS = 3  # that kernels of mve_conv2d.h compute at once
# Modelled cycles of a Cortex-M55: to call a core, to begin with windows of a row, and to copy a row of four
# windows, beside those for each of its vectors.
CALL, _RUN, _ROW, _VECTOR = 100, 80, 20, 4
_ROOMS = (1024, 384, 0)  # bytes of dense windows


@dataclass(frozen=True)
class MveRowParams(Struct):
    """Parameters of mve_linear.h, for one pixel."""

    inputs: int
    outputs: int
    half_away: bool
    low: int
    high: int


@dataclass(frozen=True)
class MveRowTilesParams(Struct):
    """Parameters of mve_linear.h, for one pixel of a multiple of eight outputs."""

    inputs: int
    tiles: int
    half_away: int
    low: int
    high: int


@dataclass(frozen=True)
class MveRowsTilesParams(Struct):
    """Parameters of mve_linear.h, for some pixels of a multiple of eight outputs."""

    rows: int
    row: MveRowTilesParams


@dataclass(frozen=True)
class MvePointwiseParams(Struct):
    """Parameters of mve_conv2d.h, for windows of one pixel."""

    pixels: int
    vectors: int
    epilogue: MveConvEpilogue


@dataclass(frozen=True)
class MveConvParams(Struct):
    """Parameters of mve_conv2d.h."""

    batch: int
    input: ImageSize
    output: Pair
    window: Window
    pad_value: int
    vectors: int
    epilogue: MveConvEpilogue


@dataclass(frozen=True)
class MvePointwiseTilesParams(Struct):
    """Parameters of mve_conv_tiles.h, for windows of one pixel."""

    pixels: int
    depth: int
    epilogue: MveTileEpilogue


@dataclass(frozen=True)
class Weights:
    """Those of a convolution: outputs, rows, columns and inputs, and the array of that shape, when needed."""

    shape: tuple[int, int, int, int]
    array: Callable[[], Bytes]

    @staticmethod
    def of(array: Bytes) -> "Weights":
        """Weights that are there."""
        outputs, height, width, inputs = array.shape
        return Weights((outputs, height, width, inputs), lambda: array)

    @property
    def outputs(self) -> int:
        """Channels of the output."""
        return self.shape[0]

    @property
    def quads(self) -> int:
        """Channels by fours."""
        return -(-self.outputs // tile_shapes.QUAD)

    @property
    def window(self) -> int:
        """Bytes of a window."""
        return self.shape[1] * self.shape[2] * self.shape[3]

    def rows(self) -> Bytes:
        """[outputs][bytes of a window]."""
        return self.array().reshape(self.outputs, -1)

    @property
    def lying(self) -> "Weights":
        """Those of the layer with rows and columns exchanged."""
        outputs, height, width, inputs = self.shape
        return Weights((outputs, width, height, inputs), lambda: self.array().transpose(0, 2, 1, 3))


def conv2d(context: Context, step: Step, call: Conv2d) -> Sequence[Way]:
    """One group, constant weights."""
    weights = constant_bytes(context, call.weights)
    if weights is None or call.params.groups != 1:
        return []
    return _priced(context, step, call, weights)


def one_channel(context: Context, step: Step, call: DepthwiseConv2d) -> Sequence[Way]:
    """An image with one channel: a convolution like any other."""
    weights = constant_bytes(context, call.weights)
    if weights is None or call.params.input.channels != 1:
        return []
    return _priced(context, step, call, weights.transpose(3, 1, 2, 0))


def _priced(context: Context, step: Step, call: Conv2d | DepthwiseConv2d, weights: Bytes) -> Sequence[Way]:
    requantization = scales_of(context, call, weights)
    return (
        []
        if requantization is None
        else convolution_ways(context, step, call, Weights.of(weights), requantization)
    )


def convolution_ways(
    context: Context, step: Step, call: Conv2d | DepthwiseConv2d, weights: Weights, requantization: Scales
) -> Sequence[Way]:
    """The kernels for a convolution of one group."""
    params = call.params
    epilogue = epilogue_of(requantization, weights.outputs, params.epilogue)
    ways = list[Way]()
    if params.window.is_pointwise:
        ways += pointwise_ways(
            context, step, call, params.batch * params.input.pixels, weights, requantization, epilogue
        )
    if context.optimize == "size":  # one kernel for all
        return [*ways, Way(0, lambda: _im2col(context, step, call, weights, requantization, epilogue))]
    if call.is_one_row:
        ways += _row(context, step, call, weights, requantization)
    if is_column(params):
        params, weights = lying(params), weights.lying
    for kernel in _tiles_of(params, weights):
        ways.append(_way(context, step, call, params, kernel, requantization, epilogue.of_tiles))
    return ways


def _row(
    context: Context, step: Step, call: Conv2d | DepthwiseConv2d, weights: Weights, requantization: Scales
) -> Iterator[Way]:
    """One pixel, whose window lies in one piece, four outputs at once, or eight."""
    epilogue, vectors = call.params.epilogue, -(-weights.window // LANES)
    low, high = epilogue.activation_min, epilogue.activation_max

    def placed(made: Step) -> Step:
        # The whole window is read until the end.
        return replace(made, source="mve_linear", inplace={call.input: weights.outputs})

    def by_fours() -> Step:
        params = MveRowParams(weights.window, weights.outputs, requantization.half_away, low, high)
        packed, scale = linear_weights(weights.rows()), requantization.quads()
        return placed(packed_step(context, step, call, "mve_row_s8", params, packed, scale))

    def by_tiles() -> Step:
        params = _row_tiles(weights, requantization, epilogue)
        packed = row_tiles(weights.rows(), requantization)
        return placed(packed_step(context, step, call, "mve_row_tiles_s8", params, packed))

    yield Way(10 + weights.quads * (66 + 8 * vectors), by_fours)
    if weights.outputs % 8 == 0:
        yield Way(_row_tiles_cycles(weights), by_tiles)


def _row_tiles(weights: Weights, requantization: Scales, epilogue: OutputEpilogue) -> MveRowTilesParams:
    """The parameters of one pixel, eight outputs at once."""
    low, high = epilogue.activation_min, epilogue.activation_max
    return MveRowTilesParams(weights.window, weights.outputs // 8, -requantization.half_away, low, high)


def _row_tiles_cycles(weights: Weights) -> int:
    """Modelled cycles of a pixel, eight outputs at once."""
    return 20 + weights.outputs // 8 * (66 + 22 * -(-weights.window // LANES))


def pointwise_ways(
    context: Context,
    step: Step,
    call: Conv2d | DepthwiseConv2d | Linear,
    pixels: int,
    weights: Weights,
    requantization: Scales,
    epilogue: MveConvEpilogue,
) -> Sequence[Way]:
    """The kernels for windows of one pixel, whose image is one row of `pixels`."""
    outputs, _, _, channels = weights.shape

    def placed(made: Step, at_once: int) -> Step:
        return replace(made, inplace={call.input: _pointwise_distance(pixels, at_once, channels, outputs)})

    def in_tiles(core: tile_shapes.Core) -> Step:
        params, kernel = (
            MvePointwiseTilesParams(pixels, channels, epilogue.of_tiles),
            "mve_pointwise_tiles_s8",
        )
        packed = linear_weights(tile_shapes.spread(weights.rows()))
        tiled = packed_step(context, step, call, kernel, params, packed, requantization.quads())
        emitted = core_of(core, requantization, outputs, kernel)
        return placed(replace(tiled, source="mve_conv_tiles", core=emitted), tile_shapes.PIXELS)

    def in_threes() -> Step:
        params = MvePointwiseParams(pixels, channels // LANES, epilogue)
        packed = quads_of_weights(weights.rows())
        placed_in_threes = packed_step(
            context, step, call, "mve_pointwise_s8", params, packed, requantization.quads()
        )
        return placed(placed_in_threes, PIXELS)

    def by_rows() -> Step:
        params = MveRowsTilesParams(pixels, _row_tiles(weights, requantization, call.params.epilogue))
        packed = row_tiles(weights.rows(), requantization)
        rows = packed_step(context, step, call, "mve_rows_tiles_s8", params, packed)
        return placed(replace(rows, source="mve_linear"), 1)

    if context.optimize == "size":
        return [Way(0, in_threes)] if channels % LANES == 0 and pixels >= PIXELS else []
    ways = list[Way]()
    if outputs % 8 == 0 and pixels > 1:
        ways.append(Way(pixels * (10 + _row_tiles_cycles(weights)), by_rows))
    core = tile_shapes.image_core(1, channels, channels, channels % 4 == 0)
    if core is not None and pixels >= tile_shapes.PIXELS:
        cycles = -(-pixels // tile_shapes.PIXELS) * weights.quads * core.cycles + CALL
        ways.append(Way(cycles, lambda: in_tiles(core)))
    return ways


def _pointwise_distance(pixels: int, at_once: int, inputs: int, outputs: int) -> int:
    """As the calls' own distances: while pixels are written, they and those behind them are still read."""
    firsts = [min(pixel, pixels - at_once) for pixel in range(0, pixels, at_once)]
    return max((first + at_once) * outputs - first * inputs for first in firsts)


def _im2col(
    context: Context,
    step: Step,
    call: Conv2d | DepthwiseConv2d,
    weights: Weights,
    requantization: Scales,
    epilogue: MveConvEpilogue,
) -> Step:
    """By the kernel that takes everything in few bytes of code."""
    layer: Conv2dParams | DepthwiseConv2dParams = call.params
    vectors = -(-weights.window // LANES)
    params = MveConvParams(
        layer.batch, layer.input, layer.output.extent, layer.window, -layer.input_offset, vectors, epilogue
    )
    im2col = context.scratch(PIXELS * LANES * vectors)
    packed, scale = quads_of_weights(weights.rows()), requantization.quads()
    return packed_step(context, step, call, "mve_conv_im2col_s8", params, packed, scale, (im2col,))


@dataclass(frozen=True)
class _Room:
    """Bytes of scratch memory, members of parameters, and the pixels that are computed at once.

    `places` are 0 where windows are read in the image.
    """

    nbytes: int
    places: Places
    pixels: Callable[[], Iterable[range]]


@dataclass(frozen=True)
class _Tiles:
    """A kernel of mve_conv_tiles.h: its weights [channels][vectors * 16], and what it takes.

    `rooms` are those of the fewest cycles first. `cycles` are modelled ones of a Cortex-M55.
    """

    kernel: str
    core: tile_shapes.Core
    rows: Callable[[], Bytes]
    rooms: tuple[_Room, ...]
    cycles: int


def _way(
    context: Context,
    step: Step,
    call: Conv2d | DepthwiseConv2d,
    layer: Conv2dParams | DepthwiseConv2dParams,
    tiles: _Tiles,
    requantization: Scales,
    epilogue: MveTileEpilogue,
) -> Way:
    """The step by a kernel of tiles; behind it the same with less scratch memory."""

    def make() -> Step:
        packed, scale = linear_weights(tiles.rows()), requantization.quads()
        core = core_of(tiles.core, requantization, epilogue.channels, tiles.kernel)
        starts = window_starts(layer.batch, layer.input, layer.output, layer.window)
        steps = list[Step]()
        for room in tiles.rooms:
            params = window_params(layer, room.places, epilogue)
            scratch = context.scratch(room.nbytes) if room.nbytes else None
            made = packed_step(context, step, call, tiles.kernel, params, packed, scale, (scratch,))
            # Of windows in the image, a quad of channels is written before the next is computed.
            ahead = distance(starts, epilogue.channels, room.pixels(), rereads=room.places[0] == 0)
            steps.append(replace(made, source="mve_conv_tiles", core=core, inplace={call.input: ahead}))
        return replace(steps[0], low_scratch=tuple(steps[1:]))

    return Way(tiles.cycles, make)


def _tiles_of(params: Conv2dParams | DepthwiseConv2dParams, weights: Weights) -> Iterator[_Tiles]:
    """The kernels of tiles for a convolution with these parameters."""
    yield _in_memory_order(params, weights)
    yield from _dense(params, weights)
    yield from _of_rows(params, weights)


def _pieces(params: Conv2dParams | DepthwiseConv2dParams) -> tuple[int, int]:
    """Pieces of a window in memory, and bytes of each."""
    size, channels = params.window.size, params.input.channels
    return (size.y, size.x * channels) if params.window.dilation.x == 1 else (size.product, channels)


def _in_memory_order(params: Conv2dParams | DepthwiseConv2dParams, weights: Weights) -> _Tiles:
    """The kernel that takes everything, window by window."""
    im2col = tile_shapes.im2col_of(*_pieces(params))
    edge = weights.window if params.window.leaves(params.input, params.output) else 0
    pixels = params.batch * params.output.pixels
    tiles = -(-pixels // tile_shapes.PIXELS)
    cycles = tiles * (weights.quads * im2col.core.cycles + CALL + tile_shapes.PIXELS * im2col.instructions)
    room = _Room(im2col.size + edge, places_of(im2col), lambda: in_rows(pixels, pixels, tile_shapes.PIXELS))
    return _Tiles(
        "mve_window_tiles_s8", im2col.core, lambda: im2col.vectors_of(weights.rows()), (room,), cycles
    )


def _dense(params: Conv2dParams | DepthwiseConv2dParams, weights: Weights) -> Iterator[_Tiles]:
    """Many windows one behind the other, and fewer of them; none where windows or images do not fit."""
    im2col, pixels = tile_shapes.dense_im2col(*_pieces(params)), params.batch * params.output.pixels
    if im2col is None or pixels < tile_shapes.PIXELS:
        return
    window, width = params.window, params.output.width
    leaves = window.leaves(params.input, params.output)
    lines, tiles = params.batch * params.output.height, -(-pixels // tile_shapes.PIXELS)
    cycles = tiles * weights.quads * im2col.core.cycles + pixels * im2col.dense_cycles
    cycles += lines * _RUN * (3 if leaves else 1)
    pixel, vector, _, rounds = places_of(im2col)
    kept = list(dict.fromkeys(im2col.room(min(most, pixels * im2col.pixel)) for most in _ROOMS))
    rooms = []
    for room in kept:
        columns = (min(room, width) - 1) * window.stride.x + (window.size.x - 1) * window.dilation.x + 1
        edge = window.size.y * columns * params.input.channels if leaves else 0
        size = im2col.dense_size(room, pixels)
        at_once = partial(in_rows, pixels, pixels, room)
        rooms.append(_Room(size + edge, (pixel, vector, size, rounds), at_once))
    cycles += -(-pixels // kept[0]) * CALL
    yield _Tiles(
        "mve_dense_tiles_s8", im2col.core, lambda: im2col.vectors_of(weights.rows()), tuple(rooms), cycles
    )


def _of_rows(params: Conv2dParams | DepthwiseConv2dParams, weights: Weights) -> Iterator[_Tiles]:
    """Four pixels of a row: where it has five, three are computed twice. In the image or in turns."""
    outputs, height, width, inputs = weights.shape
    stride = params.window.stride.x
    if params.window.dilation.x != 1 or params.output.width < tile_shapes.PIXELS:
        return
    leaves = params.window.leaves(params.input, params.output)
    edge = height * (width + (tile_shapes.PIXELS - 1) * stride) * inputs if leaves else 0
    lines, in_row = params.batch * params.output.height, -(-params.output.width // tile_shapes.PIXELS)
    pixels = partial(in_tiles, lines * params.output.width, params.output.width, tile_shapes.PIXELS)
    core = tile_shapes.image_core(height, width * inputs, stride * inputs, inputs % 4 == 0)
    if core is not None:

        def spread() -> Bytes:
            return tile_shapes.spread(weights.array().reshape(outputs * height, -1)).reshape(outputs, -1)

        cycles = lines * (in_row * weights.quads * core.cycles + CALL * (3 if leaves else 1))
        yield _Tiles("mve_image_tiles_s8", core, spread, (_Room(edge, (0, 0, 0, 0), pixels),), cycles)
        return
    im2col = tile_shapes.im2col_of(height, width * inputs)
    if im2col.core.pitch or im2col.nbytes < LANES:
        return
    copied = height * (_ROW + tile_shapes.PIXELS * _VECTOR * -(-im2col.nbytes // LANES))
    cycles = lines * in_row * (weights.quads * im2col.core.cycles + CALL + copied)
    room = _Room(im2col.size + edge, places_of(im2col), pixels)
    yield _Tiles(
        "mve_turns_tiles_s8", im2col.core, lambda: im2col.vectors_of(weights.rows()), (room,), cycles
    )
