"""Products of matrices: linear layers and batched products."""

from math import prod

from mcu_build.ir.calls.matmul import BatchMatmul, BatchMatmulParams, Linear, LinearParams
from mcu_build.ir.calls.struct import OutputEpilogue
from mcu_build.ir.tensor import DType, Tensor
from mcu_build.plan.operators.layout import contiguous, contiguous_output, output_epilogue
from mcu_build.plan.select import Call, Selector


def quantized_linear(call: Call) -> None:
    """(input, weights, bias, kernel_sum, input_offset, filter_offset, output_offset, multipliers, shifts,
    max, min, out): max comes before min.

    kernel_sum, where there is one, holds the bias and the input offset's share of the sums.
    """
    source, weights = contiguous(call, call.tensor(0)), contiguous(call, call.tensor(1))
    kernel_sum = call.optional_tensor(3)
    bias = kernel_sum or call.optional_tensor(2)
    rows, inputs = prod(source.shape[:-1]), source.shape[-1]
    outputs = weights.shape[0]
    if weights.shape != (outputs, inputs) or call.output.model_shape != (*source.shape[:-1], outputs):
        raise call.refuse(f"weights {weights.shape} do not take {source.shape} to {call.output.model_shape}")
    if bias is not None and (bias.dtype is not DType.I32 or bias.elements != outputs):
        raise call.refuse(f"a bias of {bias.elements} x {bias.dtype.numpy_name} for {outputs} outputs")
    _int8_only(call, (source, weights, call.output))
    multipliers, shifts = call.integers(7), call.integers(8)
    params = LinearParams(
        rows=rows,
        inputs=inputs,
        outputs=outputs,
        input_offset=0 if kernel_sum else call.integer(4),
        filter_offset=call.integer(5),
        multiplier=multipliers[0],
        shift=shifts[0],
        epilogue=output_epilogue(call, 6, 10, 9),
    )
    with contiguous_output(call) as output:
        call.append(Linear(params, source.id, weights.id, bias.id if bias else None, output.id))


def quantized_batch_matmul(call: Call) -> None:
    """(left, offset, right with its last two dimensions exchanged, offset, output zero point, multiplier,
    shift, scratch, out). The offsets are zero points with their sign changed.
    """
    left, right = contiguous(call, call.tensor(0)), contiguous(call, call.tensor(2))
    _int8_only(call, (left, right, call.output))
    if len(left.shape) != 3 or len(right.shape) != 3 or left.shape[::2] != right.shape[::2]:
        raise call.refuse(f"operands {left.shape} and {right.shape} (columns as rows) do not fit")
    (batch, rows, inner), columns = left.shape, right.shape[1]
    if call.output.model_shape != (batch, rows, columns):
        raise call.refuse(f"{left.shape} times {right.shape} does not give {call.output.model_shape}")
    params = BatchMatmulParams(
        batch=batch,
        rows=rows,
        columns=columns,
        inner=inner,
        left_offset=call.integer(1),
        right_offset=call.integer(3),
        multiplier=call.integer(5),
        shift=call.integer(6),
        epilogue=OutputEpilogue(call.integer(4), -128, 127),
    )
    with contiguous_output(call) as output:
        call.append(BatchMatmul(params, left.id, right.id, output.id))


def _int8_only(call: Call, tensors: tuple[Tensor, ...]) -> None:
    names = [tensor.dtype.numpy_name for tensor in tensors]
    if names != ["int8"] * len(names):
        raise call.refuse(f"no kernel for operands and output of {', '.join(names)}")


SELECTORS: dict[str, Selector] = {
    "cortex_m::quantized_linear.out": quantized_linear,
    "cortex_m::quantized_batch_matmul.out": quantized_batch_matmul,
}
