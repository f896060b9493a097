"""Layers with weights of 4 bits by firmware/kernels/dsp and mve: their weights are packed anew."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mcu_build.arithmetic.int4 import unpack
from mcu_build.ir.calls.int4 import LinearW4
from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.context import Context

# DSP: outputs at once, inputs of a word, and where each of these is, from the lowest bits on.
_OUTPUTS, _WORD = 4, (0, 1, 4, 5, 2, 3, 6, 7)
# Helium: outputs at once, even ones before odd ones, and inputs of a vector.
_TILE, _EVEN_FIRST, _LANES = 8, (0, 2, 4, 6, 1, 3, 5, 7), 16


@dataclass(frozen=True)
class MveLinearW4Row(Struct):
    """Parameters of mve_linear_w4.h, for a row."""

    inputs: int
    outputs: int
    zero_point: int
    low: int
    high: int


@dataclass(frozen=True)
class MveLinearW4Params(Struct):
    """Parameters of mve_linear_w4.h."""

    rows: int
    is_grouped: bool
    row: MveLinearW4Row


def dsp(context: Context, step: Step, call: LinearW4) -> Step | None:
    """Words of eight inputs for four outputs."""
    weights = _weights(context, call)
    if weights is None:
        return None
    full = _padded(weights, _OUTPUTS, len(_WORD)).reshape(-1, _OUTPUTS, _words(call), len(_WORD))
    nibbles = full.transpose(0, 2, 1, 3)[..., _WORD].view(np.uint8) & 15
    packed = (nibbles[..., ::2] | nibbles[..., 1::2] << 4).astype(np.uint8)
    constants = [_constant(context, call.weights, DType.I32, packed)]
    constants.append(call.factors)
    if call.params.is_grouped:
        groups = _padded(_array(context, call.factors, np.uint8, call), _OUTPUTS, 1)
        by_tile = groups.reshape(-1, _OUTPUTS, groups.shape[1]).transpose(0, 2, 1)
        constants[1] = _constant(context, call.factors, DType.U8, by_tile)
    arguments = (call.input, *constants, call.bias, call.multipliers, call.shifts, call.output)
    return replace(step, kernel="dsp_linear_w4", source="dsp_linear_w4", arguments=arguments)


def mve(context: Context, step: Step, call: LinearW4) -> Step | None:
    """Bytes that have the weights of two outputs; None where one holds none of such a pair."""
    weights = _weights(context, call)
    if weights is None:
        return None
    full = _padded(weights, _TILE, _LANES).astype(np.int64)
    pairs = 16 * full[::2] + full[1::2]
    if pairs.min(initial=0) < -128:
        return None
    params = call.params
    tiles = pairs.astype(np.int8).reshape(len(full) // _TILE, _TILE // 2, -1, _LANES).transpose(0, 2, 1, 3)
    parts = tiles.reshape(len(tiles), -1).view(np.uint8)
    if params.is_grouped:
        groups = _padded(_array(context, call.factors, np.uint8, call), _TILE, 1)
        factors = groups.reshape(len(tiles), _TILE, -1)[:, _EVEN_FIRST].transpose(0, 2, 1)
        blocks = parts.reshape(*factors.shape[:2], -1)
        parts = np.concatenate([blocks, factors], axis=2).reshape(len(tiles), -1)
    numbers = [_array(context, id, np.int32, call) for id in (call.bias, call.multipliers, call.shifts)]
    numbers[2] = 32 - numbers[2]
    last = [_padded(each, _TILE, 1).reshape(-1, _TILE)[:, _EVEN_FIRST] for each in numbers]
    packed = np.concatenate([parts, *(np.ascontiguousarray(each).view(np.uint8) for each in last)], axis=1)
    row = MveLinearW4Row(
        params.inputs, params.outputs, params.zero_point, params.bounds.low, params.bounds.high
    )
    return replace(
        step,
        kernel="mve_linear_w4",
        source="mve_linear_w4",
        params=MveLinearW4Params(params.rows, params.is_grouped, row),
        arguments=(call.input, _constant(context, call.weights, DType.I8, packed), call.output),
    )


def _weights(context: Context, call: LinearW4) -> npt.NDArray[np.int8] | None:
    """[outputs, inputs]; None where they are no constant."""
    constants = (call.weights, call.factors, call.bias, call.multipliers, call.shifts)
    if any(context.tensor(id).data is None for id in constants):
        return None
    return unpack(_array(context, call.weights, np.uint8, call), call.params.inputs)


def _array(context: Context, id: int, kind: Any, call: LinearW4) -> npt.NDArray[Any]:
    """A constant of a row for each output."""
    data = context.tensor(id).data
    assert data is not None
    return np.frombuffer(data, kind).reshape(call.params.outputs, -1)


def _words(call: LinearW4) -> int:
    return -(-call.params.inputs // len(_WORD))


def _padded(rows: npt.NDArray[Any], outputs: int, inputs: int) -> npt.NDArray[Any]:
    """With rows and columns of zeros up to multiples."""
    return np.pad(rows, [(0, -rows.shape[0] % outputs), (0, -rows.shape[1] % inputs)])


def _constant(context: Context, id: int, dtype: DType, packed: npt.NDArray[Any]) -> int:
    data = np.ascontiguousarray(packed).tobytes()
    name = f"{context.tensor(id).name} (packed)"
    return context.constant(name, dtype, (len(data) // dtype.size,), data)
