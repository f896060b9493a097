"""Exact definitions of the recurrent layers that are ours: `mcu_build::lstm`, `gru` and `rnn`, in NumPy.

One layer in one direction. The kernels of firmware/kernels/reference/recurrent.cpp and recurrent_s16.cpp give
the same numbers to the bit. x is the input [steps, n, inputs] ([n, steps, inputs] where batch_first), h the
output [steps, n, units] likewise, `hidden` the h before the first step (zeros where None): all three int8, or
all int16 with a zero point of 0. Weights are int8, [gates * units, inputs] and [gates * units, units] in
PyTorch's order of gates, with a scale for each row; those of int16 keep sums of products within 32 bits.

    p = ((x . input_weights) * multipliers[0] + (h . hidden_weights) * multipliers[1] >> shift) + biases

are the gates before their functions: 16 bits, saturated, 12 of them behind the point (7 for a ReLU). Zero
points are a part of the biases. Functions have 15 bits behind the point; sigmoid(p) = 1/2 + tanh(p / 2) / 2,
and tanh is interpolated in a table of 257 entries from 0 to 8. Shifts to the right round, half up.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mcu_build.arithmetic.int8 import Int8, Int16, Int32, Int64, rounding_shift

Float32 = npt.NDArray[np.float32]
Values = Int8 | Int16

# Bits behind the point: of gates before their functions, before a ReLU, of functions, of an LSTM's cell.
GATE_BITS = 12
RELU_BITS = 7
FUNCTION_BITS = 15
CELL_BITS = 11
TABLE_ENTRIES = 257
# A sum of products of 8 bits, times a multiplier of 30, has to stay below 2^59; so has one of 31 bits, times
# a multiplier of 28, where x and h are int16.
MOST_INPUTS = 1 << 15
MULTIPLIER_BITS = {8: 30, 16: 28}
MOST_WEIGHT_S16 = (1 << 16) - 1  # absolute weights of a row, added up: sums stay within 32 bits


def tanh_table() -> Int16:
    """tanh(i / 32) for i = 0 ... 256, with 15 bits behind the point."""
    entries = np.rint(np.tanh(np.arange(TABLE_ENTRIES) / 32) * (1 << FUNCTION_BITS))
    return np.asarray(np.minimum(entries, (1 << FUNCTION_BITS) - 1), np.int16)


def lstm(
    x: Values,
    hidden: Values | None,
    cell: Float32 | None,
    input_weights: Int8,
    hidden_weights: Int8,
    multipliers: Int32,
    biases: Int32,
    table: Int16,
    batch_first: bool,
    shift: int,
    zero_point: int,
    output_multiplier: int,
    output_shift: int,
) -> tuple[Values, Float32]:
    """h = o * tanh(c), c = f * c + i * g of 16 bits, 11 behind the point; gates i, f, g, o.

    `cell` is c [1, n, units] before the first step in float, as is the second result, c after the last.
    """
    shape = (x.shape[0] if batch_first else x.shape[1], hidden_weights.shape[1])
    c = np.zeros(shape, np.int64) if cell is None else _fixed(cell, CELL_BITS)

    def step(gates: Int64, _: Int64) -> Int64:
        nonlocal c
        enter, forget, update, leave = np.split(gates, 4, axis=1)
        kept = rounding_shift(_sigmoid(forget, table) * c, FUNCTION_BITS)
        added = rounding_shift(_sigmoid(enter, table) * _tanh(update, table), 2 * FUNCTION_BITS - CELL_BITS)
        c = _int16(kept + added)
        shown = _sigmoid(leave, table) * _tanh(c << (GATE_BITS - CELL_BITS), table)
        return _output(
            rounding_shift(shown, FUNCTION_BITS), output_multiplier, output_shift, zero_point, x.dtype
        )

    gates = _Gates(input_weights, hidden_weights, multipliers, biases, shift)
    h = _over_time(x, hidden, batch_first, zero_point, gates, step)
    return h, (c[None] / (1 << CELL_BITS)).astype(np.float32)


def gru(
    x: Values,
    hidden: Values | None,
    state: Float32 | None,
    input_weights: Int8,
    hidden_weights: Int8,
    multipliers: Int32,
    biases: Int32,
    table: Int16,
    batch_first: bool,
    shift: int,
    zero_point: int,
    output_multiplier: int,
    output_shift: int,
    state_bits: int,
    state_multiplier: int,
    state_shift: int,
) -> tuple[Values, Float32]:
    """s = (1 - z) * n + z * s of 16 bits, `state_bits` behind the point, of which h shows 8; gates r, z, n.

    n = tanh(a + r * b), where a is what the input makes of its gate and b what h does, each with a bias of
    its own: 4 * units biases. s starts as (hidden - zero_point) * state_multiplier >> state_shift, or as
    `state` [1, n, units] in float, of which h then is what is shown. The second result is s after the last
    step in float.
    """
    n, units = x.shape[0 if batch_first else 1], hidden_weights.shape[1]
    s = np.zeros((n, units), np.int64)
    if hidden is not None:
        start = (hidden.astype(np.int64).reshape(n, units) - zero_point) * state_multiplier
        s = _int16(rounding_shift(start, state_shift))
    if state is not None:
        s = _fixed(state, state_bits)
        shown: Any = _output(s, output_multiplier, output_shift, zero_point, x.dtype).astype(x.dtype)
        hidden = shown

    def step(gates: Int64, from_hidden: Int64) -> Int64:
        nonlocal s
        reset, keep, new = np.split(gates, 3, axis=1)
        gated = rounding_shift(_sigmoid(reset, table) * from_hidden, FUNCTION_BITS)
        update = rounding_shift(_tanh(_int16(new + gated), table), FUNCTION_BITS - state_bits)
        share = _sigmoid(keep, table)
        s = rounding_shift(((1 << FUNCTION_BITS) - share) * update + share * s, FUNCTION_BITS)
        return _output(s, output_multiplier, output_shift, zero_point, x.dtype)

    gates = _Gates(input_weights, hidden_weights, multipliers, biases, shift, 2 * units)
    h = _over_time(x, hidden, batch_first, zero_point, gates, step)
    return h, (s[None] / (1 << state_bits)).astype(np.float32)


def rnn(
    x: Values,
    hidden: Values | None,
    input_weights: Int8,
    hidden_weights: Int8,
    multipliers: Int32,
    biases: Int32,
    table: Int16 | None,
    batch_first: bool,
    shift: int,
    zero_point: int,
    output_multiplier: int,
    output_shift: int,
) -> Values:
    """h = tanh(p), or a ReLU of p where there is no table."""

    def step(gates: Int64, _: Int64) -> Int64:
        shown = np.maximum(gates, 0) if table is None else _tanh(gates, table)
        return _output(shown, output_multiplier, output_shift, zero_point, x.dtype)

    gates = _Gates(input_weights, hidden_weights, multipliers, biases, shift)
    return _over_time(x, hidden, batch_first, zero_point, gates, step)


class _Gates:
    """The gates before their functions, and what h alone makes of those from row `split` on."""

    def __init__(
        self,
        input_weights: Int8,
        hidden_weights: Int8,
        multipliers: Int32,
        biases: Int32,
        shift: int,
        split: int | None = None,
    ) -> None:
        # Integers below 2^53: exact in float64, whose products of matrices are quick.
        both: list[Int8] = [input_weights, hidden_weights]
        self._weights = [weights.astype(np.float64).T for weights in both]
        self._multipliers = multipliers.astype(np.int64)
        self._rows = len(input_weights)
        self._biases = biases.astype(np.int64)
        self._shift = shift
        self._split = self._rows if split is None else split

    def __call__(self, x: Values, h: Int64) -> tuple[Int64, Int64]:
        """From rows of x and of h."""
        rows: list[npt.NDArray[Any]] = [x, h]
        products = [
            (values.astype(np.float64) @ weights).astype(np.int64) * multipliers
            for values, weights, multipliers in zip(rows, self._weights, self._multipliers, strict=True)
        ]
        alone = rounding_shift(products[1][:, self._split :], self._shift) + self._biases[self._rows :]
        products[1][:, self._split :] = 0
        gates = rounding_shift(products[0] + products[1], self._shift) + self._biases[: self._rows]
        return _int16(gates), _int16(alone)


def _over_time(
    x: Values,
    hidden: Values | None,
    batch_first: bool,
    zero_point: int,
    gates: _Gates,
    step: Callable[[Int64, Int64], Int64],
) -> Values:
    steps = x.transpose(1, 0, 2) if batch_first else x
    units = gates._weights[1].shape[0]
    h = np.full((steps.shape[1], units), zero_point, np.int64)
    if hidden is not None:
        h = hidden.astype(np.int64).reshape(h.shape)
    shape = (len(steps), *h.shape)
    result: Values = np.empty(shape, np.int8) if x.dtype == np.int8 else np.empty(shape, np.int16)
    for index, values in enumerate(steps):
        h = step(*gates(values, h))
        result[index] = h
    return result.transpose(1, 0, 2).copy() if batch_first else result


def _int16(values: Int64) -> Int64:
    return np.clip(values, -(1 << 15), (1 << 15) - 1)


def _output(
    values: Int64, multiplier: int, shift: int, zero_point: int, dtype: np.dtype[np.signedinteger[Any]]
) -> Int64:
    ends = np.iinfo(dtype)
    return np.asarray(np.clip(rounding_shift(values * multiplier, shift) + zero_point, ends.min, ends.max))


def _fixed(state: Float32, bits: int) -> Int64:
    """A state in float in units of 2^-bits, half to even; NaN is the least number."""
    scaled = state.astype(np.float32) * np.float32(1 << bits)
    limited = np.where(scaled > -(1 << 15), np.minimum(scaled, (1 << 15) - 1), -(1 << 15))
    return np.asarray(np.rint(limited), np.int64).reshape(-1, state.shape[-1])


def _tanh(values: Int64, table: Int16) -> Int64:
    return np.asarray(np.where(values < 0, -1, 1) * _interpolated(values, table, GATE_BITS - 5))


def _sigmoid(values: Int64, table: Int16) -> Int64:
    half = (_interpolated(values, table, GATE_BITS - 4) + 1) >> 1
    return (1 << (FUNCTION_BITS - 1)) + np.where(values < 0, -half, half)


def _interpolated(values: Int64, table: Int16, bits: int) -> Int64:
    """The table at |values|, of which `bits` lie behind the point."""
    sizes = np.minimum(np.abs(values), (1 << 15) - 1)
    entries = table.astype(np.int64)
    low = entries[sizes >> bits]
    rest = sizes & ((1 << bits) - 1)
    return np.asarray(low + rounding_shift((entries[(sizes >> bits) + 1] - low) * rest, bits))


DEFINITIONS: Mapping[str, Callable[..., Any]] = {"lstm": lstm, "gru": gru, "rnn": rnn}
