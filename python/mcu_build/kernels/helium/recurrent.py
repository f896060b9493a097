"""Recurrent layers by firmware/kernels/mve: tiles of eight gates, as linear layers have them."""

from dataclasses import replace

import numpy as np

from mcu_build.ir.calls.int8 import Gru, Lstm, Recurrent, Rnn
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.context import Context
from mcu_build.kernels.dsp.requantize import array
from mcu_build.kernels.helium.packing import LANES, Bytes, Ints, eights, halves

# The upper half of a product of 64 bits is what is shifted: from 33 bits on there is a bit to round by.
_LEAST_SHIFT = 33


def layer(context: Context, step: Step, call: Recurrent) -> Step:
    """Constant weights whose sums leave room for a shift below 33; else mve/recurrent.cpp takes them."""
    assert isinstance(call, Lstm | Gru | Rnn)
    weights = [array(context, id, np.int8) for id in (call.input_weights, call.hidden_weights)]
    numbers = [array(context, id, np.int32) for id in (call.multipliers, call.biases)]
    if any(each is None for each in (*weights, *numbers)):
        return step
    of_x, of_h = (each for each in weights if each is not None)
    multipliers, biases = (each.astype(np.int64) for each in numbers if each is not None)
    largest = max(int(np.abs(each.astype(np.int64)).sum(axis=1).max()) for each in (of_x, of_h))
    left = max(0, _LEAST_SHIFT - call.layer.shift)
    if largest << (8 * call.dtype.size - 1 + left) >= 1 << 31 or np.abs(biases).max() >= 1 << 30:
        return step
    units = call.layer.units
    rows = len(of_x)
    together = 2 * units if isinstance(call, Gru) else rows
    lanes = LANES // call.dtype.size
    packed = _tiles(lanes, of_x[:together], of_h[:together], multipliers[:, :together], biases[:together])
    if isinstance(call, Gru):
        of_n, none = slice(together, rows), np.zeros((units, 0), np.int8)
        packed += _tiles(lanes, of_x[of_n], none, multipliers[:, of_n], biases[of_n])
        packed += _tiles(lanes, none, of_h[of_n], multipliers[:, of_n], biases[rows:])
    name = f"{context.tensor(call.input_weights).name} (packed)"
    constant = context.constant(name, DType.I8, (len(packed),), packed)
    first = call.arguments.index(call.input_weights)
    arguments = (*call.arguments[:first], constant, *call.arguments[first + 4 :])
    return replace(step, kernel=f"mve_{call.kernel}", source="mve_recurrent", arguments=arguments)


def _tiles(lanes: int, of_x: Bytes, of_h: Bytes, multipliers: Ints, biases: Ints) -> bytes:
    """`packed` of mve_recurrent.h from weights [rows][values], multipliers [2][rows] and biases [rows]."""
    numbers = halves(np.concatenate([multipliers, biases[None]])).astype("<i4")
    tiles = zip(eights(of_x, lanes), eights(of_h, lanes), numbers, strict=True)
    return b"".join(part.tobytes() for tile in tiles for part in tile)
