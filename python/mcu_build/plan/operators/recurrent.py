"""Recurrent layers of ours, `mcu_build::lstm`, `gru` and `rnn`: a call for each layer and direction."""

from dataclasses import dataclass

import numpy as np

from mcu_build.arithmetic.recurrent import MOST_INPUTS, MOST_WEIGHT_S16, MULTIPLIER_BITS, TABLE_ENTRIES
from mcu_build.ir.calls.int8 import Gru, GruParams, Lstm, RecurrentParams, RecurrentStrides, Rnn
from mcu_build.ir.tensor import DType, Tensor
from mcu_build.plan.operators.layout import contiguous, contiguous_output
from mcu_build.plan.select import Call, Selector


@dataclass(frozen=True)
class _Layer:
    """What all of them have: sizes and requantization, the tensors from the input to the table."""

    params: RecurrentParams
    dtype: DType
    input: int
    hidden: int | None
    weights: tuple[int, int, int, int]
    table: int | None


def lstm(call: Call) -> None:
    """(input, hidden, cell, input_weights, hidden_weights, multipliers, biases, table, batch_first, shift,
    zero_point, output_multiplier, output_shift, out, cell_out).
    """
    output, cell_output = call.outputs(2)
    layer = _layer(call, output, gates=4, biases=4, first=3)
    initial = call.optional_tensor(2)
    cell = contiguous(call, initial).id if initial else None
    scratch = _scratch(call, (2 * 4 + 2 + output.dtype.size) * output.model_shape[2])
    tensors = (layer.params, layer.dtype, layer.input, layer.hidden, cell, *layer.weights, layer.table)
    with contiguous_output(call, output) as written:
        if not call.is_used(cell_output):
            call.append(Lstm(*tensors, None, written.id, scratch))
            return
        with contiguous_output(call, cell_output) as cells:
            call.append(Lstm(*tensors, cells.id, written.id, scratch))


def gru(call: Call) -> None:
    """(input, hidden, state, input_weights, hidden_weights, multipliers, biases, table, batch_first, shift,
    zero_point, output_multiplier, output_shift, state_bits, state_multiplier, state_shift, out, state_out).
    """
    output, state_output = call.outputs(2)
    layer = _layer(call, output, gates=3, biases=4, first=3)
    initial = call.optional_tensor(2)
    state = contiguous(call, initial).id if initial else None
    params = GruParams(layer.params, call.integer(13), call.integer(14), call.integer(15))
    scratch = _scratch(call, (2 * 4 + 2 + output.dtype.size) * output.model_shape[2])
    tensors = (params, layer.dtype, layer.input, layer.hidden, state, *layer.weights, layer.table)
    with contiguous_output(call, output) as written:
        if not call.is_used(state_output):
            call.append(Gru(*tensors, None, written.id, scratch))
            return
        with contiguous_output(call, state_output) as states:
            call.append(Gru(*tensors, states.id, written.id, scratch))


def rnn(call: Call) -> None:
    """(input, hidden, input_weights, hidden_weights, multipliers, biases, table, batch_first, shift,
    zero_point, output_multiplier, output_shift, out).
    """
    output = call.output
    layer = _layer(call, output, gates=1, biases=1, first=2)
    scratch = _scratch(call, (2 + output.dtype.size) * output.model_shape[2])
    with contiguous_output(call, output) as written:
        tensors = (layer.input, layer.hidden, *layer.weights, layer.table)
        call.append(Rnn(layer.params, layer.dtype, *tensors, written.id, scratch))


def _scratch(call: Call, nbytes: int) -> int | None:
    memory = call.scratch(nbytes)
    return memory.id if memory else None


def _layer(call: Call, output: Tensor, gates: int, biases: int, first: int) -> _Layer:
    """Weights are arguments from `first` on."""
    source, hidden = call.tensor(0), call.optional_tensor(1)
    weights = [call.tensor(index) for index in range(first, first + 4)]
    table = call.optional_tensor(first + 4)
    known = source.dtype is output.dtype and source.dtype in (DType.I8, DType.I16)
    if not known or len(output.shape) != 3:
        raise call.refuse(f"{source.dtype.numpy_name}{list(source.shape)} to {output.dtype.numpy_name}")
    inputs, units = source.model_shape[2], output.model_shape[2]
    rows = gates * units
    wanted = [(rows, inputs), (rows, units), (2, rows), (biases * units,)]
    if [tensor.model_shape for tensor in weights] != wanted or max(inputs, units) > MOST_INPUTS:
        raise call.refuse(f"weights {[tensor.model_shape for tensor in weights]}, not {wanted}")
    if table is not None and (table.dtype is not DType.I16 or table.elements != TABLE_ENTRIES):
        raise call.refuse(f"a table of {table.elements} entries of {table.dtype.numpy_name}")
    batch_first = bool(call.integer(first + 5))
    steps, batches = (output.model_shape[index] for index in ((1, 0) if batch_first else (0, 1)))
    if hidden is not None and (hidden.dtype is not source.dtype or hidden.elements != batches * units):
        raise call.refuse(f"a first state {list(hidden.shape)} of {hidden.dtype.numpy_name}")
    params = RecurrentParams(
        steps=steps,
        batches=batches,
        inputs=inputs,
        units=units,
        strides=RecurrentStrides(1, steps) if batch_first else RecurrentStrides(batches, 1),
        shift=call.integer(first + 6),
        zero_point=call.integer(first + 7),
        output_multiplier=call.integer(first + 8),
        output_shift=call.integer(first + 9),
    )
    start = contiguous(call, hidden).id if hidden is not None else None
    matrices = (weights[0].id, weights[1].id, weights[2].id, weights[3].id)
    if source.dtype is DType.I16:
        _check_int16(call, weights[0], weights[1], weights[2], params)
    read = contiguous(call, source).id
    return _Layer(params, source.dtype, read, start, matrices, table.id if table else None)


def _check_int16(
    call: Call, of_x: Tensor, of_h: Tensor, multipliers: Tensor, params: RecurrentParams
) -> None:
    """Sums of products stay within 32 bits, what becomes of them below 2^60; nothing else is subtracted."""
    for weights in (of_x, of_h):
        rows = np.frombuffer(weights.data or b"", np.int8).reshape(-1, weights.shape[1])
        if len(rows) != weights.shape[0] or np.abs(rows.astype(np.int64)).sum(axis=1).max() > MOST_WEIGHT_S16:
            raise call.refuse("weights whose sums leave 32 bits")
    factors = np.frombuffer(multipliers.data or b"", np.int32)
    most = 1 << MULTIPLIER_BITS[16]
    if (
        factors.size != multipliers.elements
        or np.abs(factors.astype(np.int64)).max() > most
        or params.zero_point
    ):
        raise call.refuse(f"multipliers beyond {most}, or a zero point of {params.zero_point}")


SELECTORS: dict[str, Selector] = {
    "mcu_build::lstm.out": lstm,
    "mcu_build::gru.out": gru,
    "mcu_build::rnn.out": rnn,
}
