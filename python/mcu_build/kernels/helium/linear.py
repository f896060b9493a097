"""Linear layers and products of matrices by firmware/kernels/mve."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from mcu_build.ir.calls.matmul import BatchMatmul, BatchMatmulParams, Linear, LinearParams
from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.context import Context, Way
from mcu_build.kernels.helium.convolution import Weights, pointwise_ways
from mcu_build.kernels.helium.linear_core import TILE, Core, emit
from mcu_build.kernels.helium.packing import (
    LANES,
    Bytes,
    Ints,
    Requantization,
    Scales,
    linear_weights,
    scales,
)
from mcu_build.kernels.helium.tile_params import constant_bytes, constant_words, epilogue_of


@dataclass(frozen=True)
class MveLinearParams(Struct):
    """Parameters of mve_linear.h."""

    rows: int
    inputs: int
    multiplier: int
    addend: int
    shift: int
    outputs: int
    half_away: bool
    low: int
    high: int


@dataclass(frozen=True)
class MveLinearTile(Struct):
    """Parameters of mve_linear.h, for a core of tiles of eight outputs."""

    multiplier: int
    zero_point: int
    outputs: int


@dataclass(frozen=True)
class MveLinearTilesParams(Struct):
    """Parameters of mve_linear.h, for tiles of eight outputs."""

    rows: int
    inputs: int
    tile: MveLinearTile


@dataclass(frozen=True)
class MveBatchMatmulParams(Struct):
    """Parameters of mve_batch_matmul.h."""

    batch: int
    rows: int
    columns: int
    inner: int
    left_offset: int
    right_offset: int
    multiplier: int
    addend: int
    shift: int
    half_away: bool


def linear(context: Context, step: Step, call: Linear) -> Sequence[Way]:
    """Constant weights, without a filter offset: row by row, or four rows at once as pixels."""
    params = call.params
    weights, bias = constant_bytes(context, call.weights), constant_words(context, call.bias)
    if weights is None or params.filter_offset != 0 or (bias is None and call.bias is not None):
        return []
    wide = weights.astype(np.int64)
    outputs, inputs = wide.shape
    folded = params.input_offset * wide.sum(axis=1) + (0 if bias is None else bias)
    bounds = 128 * np.abs(wide).sum(axis=1)
    # One multiplier and shift for all outputs: those of the largest sum must do for every one.
    requantization = _one_scale(int((bounds + np.abs(folded)).max()), params)
    if requantization is None:
        return []
    ways = [Way(_row_cycles(params), lambda: _by_fours(context, step, call, weights, folded, requantization))]
    core = Core(inputs, int(requantization.right[0]), requantization.half_away)
    tiles = outputs % TILE == 0 and not requantization.clamps and core.is_encodable
    if tiles and context.optimize != "size":
        cycles = params.rows * core.cycles(outputs)
        ways.append(
            Way(cycles, lambda: _by_tiles(context, step, call, weights, folded, requantization, core))
        )
    each = scales(_requantization(folded, bounds, outputs, params))
    if each is not None and params.rows > 1:
        epilogue = epilogue_of(each, outputs, params.epilogue)
        as_pixels = Weights((outputs, 1, 1, inputs), lambda: weights)
        ways += pointwise_ways(context, step, call, params.rows, as_pixels, each, epilogue)
    return ways


def _by_fours(
    context: Context, step: Step, call: Linear, weights: Bytes, folded: Ints, requantization: Scales
) -> Step:
    """Four outputs at once."""
    layer, name = call.params, context.tensor(call.weights).name
    ends = (layer.epilogue.activation_min, layer.epilogue.activation_max)
    numbers = (layer.rows, layer.inputs, *_numbers(requantization))
    words = np.pad(folded, (0, -len(folded) % 4)).astype(np.int32)
    constants = (
        _bytes(context, name, linear_weights(weights)),
        context.constant(f"{name} (bias)", DType.I32, (len(words),), words.tobytes()),
    )
    params = MveLinearParams(*numbers, layer.outputs, requantization.half_away, *ends)
    return _step(step, call, "mve_linear_s8", params, constants)


def _by_tiles(
    context: Context,
    step: Step,
    call: Linear,
    weights: Bytes,
    folded: Ints,
    requantization: Scales,
    core: Core,
) -> Step:
    """Eight outputs at once."""
    layer, name = call.params, context.tensor(call.weights).name
    zero_point = layer.epilogue.zero_point << core.shifts[1]
    tile = MveLinearTile(int(requantization.multiplier[0]), zero_point, layer.outputs)
    params = MveLinearTilesParams(layer.rows, layer.inputs, tile)
    packed = _bytes(context, name, core.pack(weights, folded))
    return replace(_step(step, call, "mve_linear_tiles_s8", params, (packed,)), core=emit(core))


def _step(step: Step, call: Linear, kernel: str, params: Struct, constants: tuple[int, ...]) -> Step:
    arguments = (call.input, *constants, call.output)
    return replace(step, kernel=kernel, source="mve_linear", params=params, arguments=arguments)


def _row_cycles(params: LinearParams) -> int:
    """Modelled cycles of a Cortex-M55, four outputs of a row at once."""
    vectors, fours = -(-params.inputs // LANES), -(-params.outputs // 4)
    return 85 + params.rows * (8 + fours * (40 + 9 * vectors))


def _bytes(context: Context, name: str, packed: bytes) -> int:
    return context.constant(f"{name} (packed)", DType.I8, (len(packed),), packed)


def product(context: Context, step: Step, call: BatchMatmul) -> Step | None:
    """Any sizes."""
    layer = call.params
    offsets = (layer.left_offset, layer.right_offset)
    requantization = _one_scale(layer.inner * prod(128 + abs(offset) for offset in offsets), layer)
    if requantization is None:
        return None
    sizes = (layer.batch, layer.rows, layer.columns, layer.inner)
    params = MveBatchMatmulParams(*sizes, *offsets, *_numbers(requantization), requantization.half_away)
    return replace(step, kernel="mve_batch_matmul_s8", source="mve_batch_matmul", params=params)


def _one_scale(bound: int, params: LinearParams | BatchMatmulParams) -> Scales | None:
    """The requantization of a call with one multiplier and shift, whose sums are at most `bound`."""
    return scales(_requantization(np.zeros(1, np.int64), np.array([bound]), 1, params))


def _requantization(
    bias: Ints, bounds: Ints, channels: int, params: LinearParams | BatchMatmulParams
) -> Requantization:
    """That of so many channels, all with one multiplier and shift."""
    return Requantization(
        bias,
        bounds,
        np.full(channels, params.multiplier, np.int64),
        np.full(channels, params.shift, np.int64),
        params.epilogue.zero_point,
        params.epilogue.activation_min,
        params.epilogue.activation_max,
    )


def _numbers(requantization: Scales) -> tuple[int, int, int]:
    """Multiplier, addend and shift."""
    return int(requantization.multiplier[0]), int(requantization.addend[0]), int(requantization.shift[0])
