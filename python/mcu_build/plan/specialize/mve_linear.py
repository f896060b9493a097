"""Linear layers and products of matrices by firmware/kernels/mve."""

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, cast

import numpy as np

from mcu_build.codegen.packing_mve import Requantization, Scales, linear_tiles, linear_weights, scales
from mcu_build.ir.plan import DType, Params, Step, Value
from mcu_build.plan.specialize.mve_conv import constant_bytes, constant_words, numbers

if TYPE_CHECKING:
    from mcu_build.plan.specialize import Context

_TILE = 8  # outputs that the kernels of tiles compute at once
_RESIDENT = 128  # inputs with a kernel of their own


def linear(context: "Context", step: Step) -> Step | None:
    """linear_s8 with constant weights, without a filter offset."""
    assert step.params is not None
    given = step.params.members
    weights, bias = constant_bytes(context, step.arguments[1]), constant_words(context, step.arguments[2])
    if weights is None or given["filter_offset"] != 0 or (bias is None and step.arguments[2] is not None):
        return None
    wide, stage = weights.astype(np.int64), numbers(given["stage"])
    outputs, inputs = wide.shape
    folded = cast(int, given["input_offset"]) * wide.sum(axis=1) + (0 if bias is None else bias)
    # One multiplier and shift for all outputs: those of the largest sum must do for every one.
    largest = int((128 * np.abs(wide).sum(axis=1) + np.abs(folded)).max())
    rescaling = _one_scale(largest, given)
    if rescaling is None:
        return None
    common: dict[str, Value] = {
        "rows": given["rows"],
        "inputs": inputs,
        **_members(rescaling),
    }
    name = context.tensor(step.arguments[1]).name
    if outputs % _TILE == 0 and not rescaling.clamps and context.optimize != "size":
        kernel = "mve_linear_tiles_128_s8" if inputs == _RESIDENT else "mve_linear_tiles_s8"
        last_tile = outputs // _TILE - 1 - (rescaling.ties << 31)
        params = Params("MveLinearTilesParams", {**common, "last_tile": last_tile})
        constants: tuple[int, ...] = (_bytes(context, name, linear_tiles(weights, folded)),)
    else:
        kernel = "mve_linear_s8"
        rest = {
            "outputs": outputs,
            "ties": rescaling.ties,
            "low": stage["activation_min"],
            "high": stage["activation_max"],
        }
        params = Params("MveLinearParams", {**common, **rest})
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
        arguments=(step.arguments[0], *constants, step.arguments[3]),
    )


def _bytes(context: "Context", name: str, packed: bytes) -> int:
    return context.constant(f"{name} (packed)", DType.I8, (len(packed),), packed)


def product(context: "Context", step: Step) -> Step | None:
    """batch_matmul_s8."""
    assert step.params is not None
    given = step.params.members
    sizes = {name: cast(int, given[name]) for name in ("batch", "rows", "columns", "inner")}
    offsets = {name: cast(int, given[name]) for name in ("left_offset", "right_offset")}
    rescaling = _one_scale(sizes["inner"] * prod(128 + abs(offset) for offset in offsets.values()), given)
    if rescaling is None:
        return None
    members: dict[str, Value] = {**sizes, **offsets, **_members(rescaling), "ties": rescaling.ties}
    params = Params("MveBatchMatmulParams", members)
    return replace(step, kernel="mve_batch_matmul_s8", source="mve_batch_matmul", params=params)


def _one_scale(bound: int, given: Mapping[str, Value]) -> Scales | None:
    """The rescaling of a step with one multiplier and shift, whose sums are at most `bound`."""
    stage = numbers(given["stage"])
    return scales(
        Requantization(
            np.zeros(1, np.int64),
            np.array([bound]),
            np.array([given["multiplier"]], np.int64),
            np.array([given["shift"]], np.int64),
            stage["zero_point"],
            stage["activation_min"],
            stage["activation_max"],
        )
    )


def _members(rescaling: Scales) -> dict[str, Value]:
    return {
        "multiplier": int(rescaling.multiplier[0]),
        "addend": int(rescaling.addend[0]),
        "shift": int(rescaling.shift[0]),
    }
