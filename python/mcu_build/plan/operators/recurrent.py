"""Recurrent layers of ours, `mcu_build::lstm`, `gru` and `rnn`: a call for each layer and direction."""

from collections.abc import Mapping

from mcu_build.ir.plan import DType, Params, Tensor
from mcu_build.ir.plan import Value as Member
from mcu_build.plan.operators.layout import contiguous, contiguous_output
from mcu_build.plan.select import Call, Selector
from mcu_build.reference_recurrent import MOST_INPUTS, TABLE_ENTRIES


def lstm(call: Call) -> None:
    """(input, hidden, cell, input_weights, hidden_weights, multipliers, biases, table, batch_first, shift,
    zero_point, output_multiplier, output_shift, out, cell_out).
    """
    output, cell_output = call.outputs(2)
    params, reads = _layer(call, output, gates=4, biases=4, first=3)
    cell = call.optional_tensor(2)
    reads.insert(2, contiguous(call, cell) if cell else None)
    units = output.model_shape[2]
    scratch = call.scratch((2 * 4 + 3) * units)
    kernel_params = Params("RecurrentParams", params)
    macs = _macs(output, reads[0])
    with contiguous_output(call, output) as written:
        if not call.is_used(cell_output):
            call.emit("lstm_s8", "recurrent", kernel_params, [*reads, None], [written], scratch, 4 * macs)
            return
        with contiguous_output(call, cell_output) as cells:
            call.emit("lstm_s8", "recurrent", kernel_params, reads, [cells, written], scratch, 4 * macs)


def gru(call: Call) -> None:
    """(input, hidden, input_weights, hidden_weights, multipliers, biases, table, batch_first, shift,
    zero_point, output_multiplier, output_shift, state_bits, state_multiplier, state_shift, out).
    """
    output = call.output
    params, reads = _layer(call, output, gates=3, biases=4, first=2)
    units = output.model_shape[2]
    kernel_params = Params(
        "GruParams",
        {
            "layer": params,
            "state_bits": call.integer(12),
            "state_multiplier": call.integer(13),
            "state_shift": call.integer(14),
        },
    )
    scratch = call.scratch((2 * 4 + 3) * units)
    macs = 3 * _macs(output, reads[0])
    with contiguous_output(call, output) as written:
        call.emit("gru_s8", "recurrent", kernel_params, reads, [written], scratch, macs)


def rnn(call: Call) -> None:
    """(input, hidden, input_weights, hidden_weights, multipliers, biases, table, batch_first, shift,
    zero_point, output_multiplier, output_shift, out).
    """
    output = call.output
    params, reads = _layer(call, output, gates=1, biases=1, first=2)
    scratch = call.scratch(3 * output.model_shape[2])
    with contiguous_output(call, output) as written:
        call.emit(
            "rnn_s8",
            "recurrent",
            Params("RecurrentParams", params),
            reads,
            [written],
            scratch,
            _macs(output, reads[0]),
        )


def _layer(
    call: Call, output: Tensor, gates: int, biases: int, first: int
) -> tuple[Mapping[str, Member], list[Tensor | None]]:
    """The parameters that all of them have, and the tensors from the input to the table; weights are
    arguments from `first` on.
    """
    source, hidden = call.tensor(0), call.optional_tensor(1)
    weights = [call.tensor(index) for index in range(first, first + 4)]
    table = call.optional_tensor(first + 4)
    if source.dtype is not DType.I8 or output.dtype is not DType.I8 or len(output.shape) != 3:
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
    if hidden is not None and (hidden.dtype is not DType.I8 or hidden.elements != batches * units):
        raise call.refuse(f"a first state {list(hidden.shape)} of {hidden.dtype.numpy_name}")
    params: dict[str, Member] = {
        "steps": steps,
        "batches": batches,
        "inputs": inputs,
        "units": units,
        "strides": {"step": 1, "batch": steps} if batch_first else {"step": batches, "batch": 1},
        "shift": call.integer(first + 6),
        "zero_point": call.integer(first + 7),
        "output_multiplier": call.integer(first + 8),
        "output_shift": call.integer(first + 9),
    }
    start = contiguous(call, hidden) if hidden is not None else None
    return params, [contiguous(call, source), start, *weights, table]


def _macs(output: Tensor, source: Tensor | None) -> int:
    """Multiply-accumulates of one gate."""
    assert source is not None
    return output.elements * (source.model_shape[2] + output.model_shape[2])


SELECTORS: dict[str, Selector] = {
    "mcu_build::lstm.out": lstm,
    "mcu_build::gru.out": gru,
    "mcu_build::rnn.out": rnn,
}
