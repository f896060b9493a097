"""Products of float matrices, and distances between their rows."""

from collections.abc import Sequence
from math import prod

from mcu_build.ir.calls.portable import CdistParams, MatmulF32Params, PdistParams
from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.tensor import DType, Tensor
from mcu_build.plan.operators.layout import contiguous, contiguous_output, copy_strided, model_strides
from mcu_build.plan.operators.portable_binary import emit_pair, like, scalar
from mcu_build.plan.operators.portable_fourier import as_fft
from mcu_build.plan.operators.portable_movement import View
from mcu_build.plan.select import Call, Selector


def linear(call: Call) -> None:
    """(input, weight, bias, out): input times the transpose of the weight."""
    source, weight = contiguous(call, call.tensor(0)), call.tensor(1)
    depth = source.model_shape[-1]
    if call.optional_tensor(2) is None and as_fft(call, source, weight):
        return
    rows = source.elements // depth
    into, out_of = model_strides(weight)
    params = _params(1, (rows, weight.model_shape[0], depth), (0, depth, 1), (0, out_of, into))
    _emit(call, params, source, weight, call.optional_tensor(2), call.output)


def matmul(call: Call) -> None:
    """(input, other, out): mm, bmm, and matmul where the batches are equal or one operand has none."""
    _product(call, call.tensor(0), call.tensor(1), None, call.output)


def addmm(call: Call) -> None:
    """(bias, first, second, beta, alpha, out): beta bias + alpha first second."""
    bias, output = call.tensor(0), call.output
    beta, alpha = call.real(3), call.real(4)
    is_row = bias.elements == output.model_shape[-1] and bias.model_shape[-1:] == output.model_shape[-1:]
    if beta == 1 and alpha == 1 and is_row:
        _product(call, call.tensor(1), call.tensor(2), bias, output)
        return
    product = like(call, output)
    _product(call, call.tensor(1), call.tensor(2), None, product)
    emit_pair(call, "add", _times(call, beta, bias), _times(call, alpha, product), output)


def _times(call: Call, factor: float, tensor: Tensor) -> Tensor:
    if factor == 1:
        return tensor
    scaled = like(call, tensor)
    emit_pair(call, "mul", tensor, scalar(call, factor, DType.F32), scaled)
    return scaled


def _product(call: Call, first: Tensor, second: Tensor, bias: Tensor | None, output: Tensor) -> None:
    left, right = _matrices(first.model_shape, True), _matrices(second.model_shape, False)
    batches = max(prod(left[:-2]), prod(right[:-2]))
    if left[-1] != right[-2] or {prod(left[:-2]), prod(right[:-2])} - {1, batches}:
        raise call.refuse(f"the product of {first.model_shape} and {second.model_shape}")
    if prod(left[:-2]) > 1 and prod(right[:-2]) > 1 and left[:-2] != right[:-2]:
        raise call.refuse(f"batches of {first.model_shape} and {second.model_shape}")
    first, second = contiguous(call, first), contiguous(call, second)
    rows, depth, columns = left[-2], left[-1], right[-1]
    first_batch = rows * depth if prod(left[:-2]) > 1 else 0
    second_batch = depth * columns if prod(right[:-2]) > 1 else 0
    params = _params(batches, (rows, columns, depth), (first_batch, depth, 1), (second_batch, columns, 1))
    _emit(call, params, first, second, bias, output)


def _matrices(shape: Sequence[int], is_first: bool) -> tuple[int, ...]:
    """A vector is a row on the left of a product and a column on its right."""
    if len(shape) == 1:
        return (1, shape[0]) if is_first else (shape[0], 1)
    return tuple(shape)


def _params(
    batches: int, sizes: tuple[int, int, int], first: tuple[int, ...], second: tuple[int, ...]
) -> MatmulF32Params:
    rows, columns, depth = sizes
    return MatmulF32Params(
        batches=batches, rows=rows, columns=columns, depth=depth, first_strides=first, second_strides=second
    )


def _emit(
    call: Call, params: MatmulF32Params, first: Tensor, second: Tensor, bias: Tensor | None, output: Tensor
) -> None:
    for tensor in (first, second, output, *([bias] if bias else [])):
        if tensor.dtype is not DType.F32:
            raise call.refuse(f"no kernel for {tensor.dtype.numpy_name}")
    macs = output.elements * params.depth
    with contiguous_output(call, output) as written:
        call.emit("matmul_f32", "matmul_f32", params, [first, second, bias], [written], macs=macs)


def cdist(call: Call) -> None:
    """(first, second, p, compute_mode, out): p-norms of differences of rows; float32."""
    first, second, output = call.tensor(0), call.tensor(1), call.output
    rows, others = first.model_shape[-2], second.model_shape[-2]
    batches = output.model_shape[:-2]
    reads = [_batched(call, tensor, batches) for tensor in (first, second)]
    params = CdistParams(prod(batches), rows, others, reads[0].model_shape[-1], call.real(2))
    _emit_distance(call, "cdist", params, reads)


def pdist(call: Call) -> None:
    """(input, p, out): p-norms of differences of any two rows; float32."""
    source = contiguous(call, call.tensor(0))
    params = PdistParams(source.model_shape[0], source.model_shape[-1], call.real(1))
    _emit_distance(call, "pdist", params, [source])


def _emit_distance(call: Call, name: str, params: Struct, reads: Sequence[Tensor]) -> None:
    for tensor in reads:
        if tensor.dtype is not DType.F32:
            raise call.refuse(f"no kernel for {tensor.dtype.numpy_name}")
    with contiguous_output(call) as written:
        call.emit(f"{name}_f32", "distance", params, reads, [written])


def _batched(call: Call, tensor: Tensor, batches: tuple[int, ...]) -> Tensor:
    """`tensor` dense, repeated to `batches`."""
    shape = (*batches, *tensor.model_shape[-2:])
    if tensor.model_shape == shape:
        return contiguous(call, tensor)
    made = call.temporary(tensor.name, tensor.dtype, shape)
    copy_strided(call, tensor, made, View.of(tensor).expand(shape).strides)
    return made


SELECTORS: dict[str, Selector] = {
    "aten::linear.out": linear,
    "aten::mm.out": matmul,
    "aten::bmm.out": matmul,
    "aten::matmul.out": matmul,
    "aten::addmm.out": addmm,
    "aten::baddbmm.out": addmm,
    "aten::_cdist_forward.out": cdist,
    "aten::_pdist_forward.out": pdist,
}
