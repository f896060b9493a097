"""Transposed convolutions by firmware/kernels/mve."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from mcu_build.ir.calls.convolution import TransposeConv2d
from mcu_build.ir.calls.struct import NONE, ONE, Pair, Struct, Window
from mcu_build.ir.plan import Step
from mcu_build.kernels.context import Context, Way
from mcu_build.kernels.helium import tile_shapes
from mcu_build.kernels.helium.convolution import CALL, PIXELS, MvePointwiseParams
from mcu_build.kernels.helium.packing import (
    LANES,
    Bytes,
    Scales,
    linear_weights,
    quads_of_weights,
    scales,
)
from mcu_build.kernels.helium.tile_params import (
    MveWindowTilesParams,
    Places,
    constant_bytes,
    core_of,
    epilogue_of,
    packed_step,
    places_of,
    requantization_of,
)
from mcu_build.kernels.helium.tile_shapes import QUAD

# Modelled cycles of a Cortex-M55 for three pixels by four channels: in all, and for each vector; for a tile
# of a phase.
_THREES, _THREES_VECTOR, _PHASE = 120, 32, 100


@dataclass(frozen=True)
class MveSideBySideParams(Struct):
    """Parameters of mve_conv2d.h, for transposed convolutions whose windows do not overlap."""

    input_rows: int
    window_rows: int
    row: MvePointwiseParams


@dataclass(frozen=True)
class MveTransposedTilesParams(Struct):
    """Parameters of mve_conv_tiles.h, for transposed convolutions."""

    windows: MveWindowTilesParams
    stride: Pair
    padding: Pair
    weights: int


def side_by_side(context: Context, step: Step, call: TransposeConv2d) -> Sequence[Way]:
    """Windows that do not overlap and fill the output."""
    params, weights = call.params, constant_bytes(context, call.weights)
    image, size = params.input, params.window.size
    fits = (params.window.stride, params.window.padding, params.window.dilation) == (size, NONE, ONE)
    fills = params.output.extent == Pair(image.height * size.y, image.width * size.x)
    vectors, rest = divmod(image.channels, LANES)
    if weights is None or not (fits and fills) or rest or image.width < PIXELS:
        return []
    # A row of the window after the other: channels [row][column][output].
    rows = weights.transpose(1, 2, 0, 3).reshape(-1, image.channels)
    wanted = requantization_of(context, call, rows, copies=size.product)
    requantization = None if wanted is None else scales(wanted)
    if requantization is None:
        return []
    channels = size.x * len(weights)

    def make() -> Step:
        return _side_by_side(context, step, call, rows, requantization, channels)

    cycles = params.batch * image.height * size.y * -(-image.width // PIXELS) * -(-channels // QUAD)
    return [Way(cycles * (_THREES + vectors * _THREES_VECTOR), make)]


def _side_by_side(
    context: Context, step: Step, call: TransposeConv2d, rows: Bytes, requantization: Scales, channels: int
) -> Step:
    """A row of the window after the other."""
    layer, size = call.params, call.params.window.size
    image, vectors = layer.input, layer.input.channels // LANES
    lines = [slice(ky * channels, (ky + 1) * channels) for ky in range(size.y)]
    row = MvePointwiseParams(image.width, vectors, epilogue_of(requantization, channels, layer.epilogue))
    packed = b"".join(quads_of_weights(rows[line]) for line in lines)
    scale = b"".join(requantization.part(line).quads() for line in lines)
    params = MveSideBySideParams(layer.batch * image.height, size.y, row)
    return packed_step(context, step, call, "mve_side_by_side_s8", params, packed, scale)


def transposed(context: Context, step: Step, call: TransposeConv2d) -> Sequence[Way]:
    """Without dilation: a convolution for each phase of the output, whose columns are channels if alike."""
    params, weights = call.params, constant_bytes(context, call.weights)
    if weights is None or params.window.dilation != ONE or context.optimize == "size":
        return []
    phases = _phases_of(call, weights)
    rows = phases.taps.reshape(-1, phases.taps[0, 0].size)
    wanted = requantization_of(context, call, rows, copies=len(rows) // params.output.channels)
    requantization = None if wanted is None else scales(wanted)
    if requantization is None or not -128 <= -params.input_offset <= 127:
        return []
    return [
        Way(tiles.cycles, partial(_made, context, step, call, requantization, phases, tiles))
        for tiles in (_copied(call, phases), _in_image(call, phases))
        if tiles is not None
    ]


@dataclass(frozen=True)
class _Phases:
    """Weights [phase][channels][rows][columns][inputs], and what there is of the output in their terms."""

    taps: Bytes
    stride: Pair
    padding: Pair
    output: Pair

    @property
    def largest(self) -> Pair:
        """Rows and columns of the output of the first phase."""
        return Pair(-(-self.output.y // self.stride.y), -(-self.output.x // self.stride.x))


@dataclass(frozen=True)
class _Tiles:
    """A kernel for phases: its core, weights [phase * channels][vectors * 16], bytes of scratch memory."""

    kernel: str
    core: tile_shapes.Core
    rows: Bytes
    scratch: int
    cycles: float
    places: Places = (0, 0, 0, 0)


def _phases_of(call: TransposeConv2d, weights: Bytes) -> _Phases:
    params = call.params
    stride, padding, output = params.window.stride, params.window.padding, params.output.extent
    phases = tile_shapes.phases_of(weights, stride, padding)
    taps = phases.weights
    if phases.columns_are_alike and output.x % stride.x == 0:
        taps = taps.reshape(stride.y, 1, -1, *taps.shape[3:])
        padding = Pair(padding.y, taps.shape[4] - 1 - phases.padding[1][0])
        stride, output = Pair(stride.y, 1), Pair(output.y, output.x // stride.x)
    return _Phases(taps.reshape(-1, *taps.shape[2:]), stride, padding, output)


def _copied(call: TransposeConv2d, phases: _Phases) -> _Tiles:
    """Each window copied by itself."""
    count, channels, height, width, inputs = phases.taps.shape
    im2col = tile_shapes.im2col_of(height, width * inputs)
    pixels = call.params.batch * phases.largest.product
    tiles, quads = count * -(-pixels // tile_shapes.PIXELS), -(-channels // QUAD)
    cycles = tiles * (quads * im2col.core.cycles + CALL + _PHASE + tile_shapes.PIXELS * im2col.instructions)
    rows = im2col.vectors_of(phases.taps.reshape(count * channels, -1))
    scratch = im2col.size + height * width * inputs
    return _Tiles("mve_transposed_tiles_s8", im2col.core, rows, scratch, cycles, places_of(im2col))


def _in_image(call: TransposeConv2d, phases: _Phases) -> _Tiles | None:
    """Windows read where they lie, those of four pixels of a row; None where there is no core for them."""
    count, channels, height, width, inputs = phases.taps.shape
    core = tile_shapes.image_core(height, width * inputs, inputs, inputs % 4 == 0)
    if core is None or phases.output.x // phases.stride.x < tile_shapes.PIXELS:
        return None
    lines, in_row = count * call.params.batch * phases.largest.y, -(-phases.largest.x // tile_shapes.PIXELS)
    cycles = lines * (in_row * -(-channels // QUAD) * core.cycles + 3 * CALL)
    spread = tile_shapes.spread(phases.taps.reshape(-1, width * inputs))
    rows = spread.reshape(count * channels, -1)
    edge = height * (width + tile_shapes.PIXELS - 1) * inputs
    return _Tiles("mve_transposed_image_tiles_s8", core, rows, edge, cycles)


def _made(
    context: Context,
    step: Step,
    call: TransposeConv2d,
    requantization: Scales,
    phases: _Phases,
    tiles: _Tiles,
) -> Step:
    layer = call.params
    count, channels, height, width, _ = phases.taps.shape
    packed = [linear_weights(part) for part in tiles.rows.reshape(count, channels, -1)]
    parts = [slice(phase * channels, (phase + 1) * channels) for phase in range(count)]
    scale = b"".join(requantization.part(part).quads() for part in parts)
    windows = MveWindowTilesParams(
        layer.batch,
        layer.input,
        phases.output,
        Window(Pair(height, width), ONE, NONE, ONE),
        -layer.input_offset,
        *tiles.places,
        epilogue_of(requantization, channels, layer.epilogue).of_tiles,
    )
    params = MveTransposedTilesParams(windows, phases.stride, phases.padding, len(packed[0]))
    scratch = (context.scratch(tiles.scratch),)
    made = packed_step(context, step, call, tiles.kernel, params, b"".join(packed), scale, scratch)
    return replace(
        made, source="mve_conv_tiles", core=core_of(tiles.core, requantization, channels, made.kernel)
    )
