"""Transposed convolutions by firmware/kernels/mve."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mcu_build.ir.calls.convolution import TransposeConv2d
from mcu_build.ir.calls.struct import NONE, ONE, Pair, Struct, Window
from mcu_build.ir.plan import Step
from mcu_build.kernels.helium import convolution
from mcu_build.kernels.helium.convolution import QUAD
from mcu_build.plan.specialize.context import Context, Way
from mcu_build.plan.specialize.mve_conv import (
    MveWindowTilesParams,
    constant_bytes,
    core_of,
    packed_step,
    requantization,
    stage_of,
)
from mcu_build.plan.specialize.mve_packing import (
    LANES,
    Bytes,
    Scales,
    linear_weights,
    quads_of_weights,
    scales,
)
from mcu_build.plan.specialize.mve_tiles import CALL, PIXELS, MvePointwiseParams

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
    """Parameters of mve_conv_tiles.h, for transposed convolutions whose windows overlap."""

    windows: MveWindowTilesParams
    stride: Pair
    first: Pair
    second: Pair
    weights: int


def side_by_side(context: Context, step: Step, call: TransposeConv2d) -> Sequence[Way]:
    """Windows that do not overlap and fill the output."""
    given, weights = call.params, constant_bytes(context, call.weights)
    image, size = given.input, given.window.size
    fits = (given.window.stride, given.window.padding, given.window.dilation) == (size, NONE, ONE)
    fills = given.output.extent == Pair(image.height * size.y, image.width * size.x)
    vectors, rest = divmod(image.channels, LANES)
    if weights is None or not (fits and fills) or rest or image.width < PIXELS:
        return []
    # A row of the window after the other: channels [row][column][output].
    rows = weights.transpose(1, 2, 0, 3).reshape(-1, image.channels)
    wanted = requantization(context, call, rows, copies=size.product)
    rescaling = None if wanted is None else scales(wanted)
    if rescaling is None:
        return []
    channels = size.x * len(weights)

    def make() -> Step:
        return _side_by_side(context, step, call, rows, rescaling, channels)

    cycles = given.batch * image.height * size.y * -(-image.width // PIXELS) * -(-channels // QUAD)
    return [Way(cycles * (_THREES + vectors * _THREES_VECTOR), make)]


def _side_by_side(
    context: Context, step: Step, call: TransposeConv2d, rows: Bytes, rescaling: Scales, channels: int
) -> Step:
    """A row of the window after the other."""
    given, size = call.params, call.params.window.size
    image, vectors = given.input, given.input.channels // LANES
    lines = [slice(ky * channels, (ky + 1) * channels) for ky in range(size.y)]
    row = MvePointwiseParams(image.width, vectors, stage_of(rescaling, channels, given.stage))
    packed = b"".join(quads_of_weights(rows[line]) for line in lines)
    scale = b"".join(rescaling.part(line).quads() for line in lines)
    params = MveSideBySideParams(given.batch * image.height, size.y, row)
    return packed_step(context, step, call, "mve_side_by_side_s8", params, packed, scale)


def transposed(context: Context, step: Step, call: TransposeConv2d) -> Sequence[Way]:
    """Strides up to 2, without gaps: a convolution for each phase of the output."""
    given, weights = call.params, constant_bytes(context, call.weights)
    size, stride = given.window.size, given.window.stride
    fits = stride.y <= min(2, size.y) and stride.x <= min(2, size.x) and given.window.dilation == ONE
    if weights is None or not fits or context.optimize == "size":
        return []
    taps, first, second = convolution.phases_of(weights, stride, given.window.padding)
    count, outputs, height, width, inputs = taps.shape
    wanted = requantization(context, call, taps.reshape(count * outputs, -1), copies=count)
    rescaling = None if wanted is None else scales(wanted)
    if rescaling is None or not -128 <= -given.input_offset <= 127:
        return []
    patch = convolution.patch_of(height, width * inputs)
    tiles = count * given.batch * -(-given.input.pixels // convolution.PIXELS)
    quads = -(-outputs // QUAD)
    cycles = tiles * (quads * patch.core.cycles + CALL + _PHASE + convolution.PIXELS * patch.instructions)

    def make() -> Step:
        return _phases(context, step, call, rescaling, (taps, first, second), patch)

    return [Way(cycles, make)]


def _phases(
    context: Context,
    step: Step,
    call: TransposeConv2d,
    rescaling: Scales,
    phases: tuple[Bytes, Pair, Pair],
    patch: convolution.Patch,
) -> Step:
    """A convolution of windows of `taps` for each phase, whose first and second have this padding."""
    given, (taps, first, second) = call.params, phases
    count, outputs, height, width, inputs = taps.shape
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
        stage=stage_of(rescaling, outputs, given.stage).of_tiles,
    )
    params = MveTransposedTilesParams(windows, given.window.stride, first, second, len(packed) // count)
    scratch = (context.scratch(patch.size + height * width * inputs),)
    found = packed_step(context, step, call, "mve_transposed_tiles_s8", params, packed, scale, scratch)
    return replace(found, source="mve_conv_tiles", core=core_of(patch.core, rescaling, outputs, found.kernel))
