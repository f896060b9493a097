"""Linear layers and products of matrices by firmware/kernels/mve."""

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from mcu_build.ir.calls.matmul import BatchMatmul, BatchMatmulParams, Linear, LinearParams
from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.plan.specialize.context import Context
from mcu_build.plan.specialize.mve_conv import constant_bytes, constant_words
from mcu_build.plan.specialize.mve_packing import (
    Requantization,
    Scales,
    linear_tiles,
    linear_weights,
    scales,
)

_TILE = 8  # outputs that the kernels of tiles compute at once
_RESIDENT = 128  # inputs with a kernel of their own


@dataclass(frozen=True)
class MveLinearParams(Struct):
    """Parameters of mve_linear.h."""

    rows: int
    inputs: int
    multiplier: int
    addend: int
    shift: int
    outputs: int
    ties: bool
    low: int
    high: int


@dataclass(frozen=True)
class MveLinearTilesParams(Struct):
    """Parameters of mve_linear.h, for tiles of eight outputs."""

    rows: int
    inputs: int
    multiplier: int
    addend: int
    shift: int
    last_tile: int


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
    ties: bool


def linear(context: Context, step: Step, call: Linear) -> Step | None:
    """Constant weights, without a filter offset."""
    given = call.params
    weights, bias = constant_bytes(context, call.weights), constant_words(context, call.bias)
    if weights is None or given.filter_offset != 0 or (bias is None and call.bias is not None):
        return None
    wide = weights.astype(np.int64)
    outputs, inputs = wide.shape
    folded = given.input_offset * wide.sum(axis=1) + (0 if bias is None else bias)
    # One multiplier and shift for all outputs: those of the largest sum must do for every one.
    largest = int((128 * np.abs(wide).sum(axis=1) + np.abs(folded)).max())
    rescaling = _one_scale(largest, given)
    if rescaling is None:
        return None
    common = (given.rows, inputs, *_numbers(rescaling))
    name = context.tensor(call.weights).name
    if outputs % _TILE == 0 and not rescaling.clamps and context.optimize != "size":
        kernel = "mve_linear_tiles_128_s8" if inputs == _RESIDENT else "mve_linear_tiles_s8"
        params: Struct = MveLinearTilesParams(*common, outputs // _TILE - 1 - (rescaling.ties << 31))
        constants: tuple[int, ...] = (_bytes(context, name, linear_tiles(weights, folded)),)
    else:
        kernel = "mve_linear_s8"
        ends = (given.stage.activation_min, given.stage.activation_max)
        params = MveLinearParams(*common, outputs, rescaling.ties, *ends)
        words = np.pad(folded, (0, -outputs % 4)).astype(np.int32)
        constants = (
            _bytes(context, name, linear_weights(weights)),
            context.constant(f"{name} (bias)", DType.I32, (len(words),), words.tobytes()),
        )
    return replace(
        step,
        kernel=kernel,
        source="mve_linear",
        params=params,
        arguments=(call.input, *constants, call.output),
    )


def _bytes(context: Context, name: str, packed: bytes) -> int:
    return context.constant(f"{name} (packed)", DType.I8, (len(packed),), packed)


def product(context: Context, step: Step, call: BatchMatmul) -> Step | None:
    """Any sizes."""
    given = call.params
    offsets = (given.left_offset, given.right_offset)
    rescaling = _one_scale(given.inner * prod(128 + abs(offset) for offset in offsets), given)
    if rescaling is None:
        return None
    sizes = (given.batch, given.rows, given.columns, given.inner)
    params = MveBatchMatmulParams(*sizes, *offsets, *_numbers(rescaling), rescaling.ties)
    return replace(step, kernel="mve_batch_matmul_s8", source="mve_batch_matmul", params=params)


def _one_scale(bound: int, given: LinearParams | BatchMatmulParams) -> Scales | None:
    """The rescaling of a call with one multiplier and shift, whose sums are at most `bound`."""
    return scales(
        Requantization(
            np.zeros(1, np.int64),
            np.array([bound]),
            np.array([given.multiplier], np.int64),
            np.array([given.shift], np.int64),
            given.stage.zero_point,
            given.stage.activation_min,
            given.stage.activation_max,
        )
    )


def _numbers(rescaling: Scales) -> tuple[int, int, int]:
    """Multiplier, addend and shift."""
    return int(rescaling.multiplier[0]), int(rescaling.addend[0]), int(rescaling.shift[0])
