"""The int8 operators that are ours, `mcu_build::*`: PReLU, norms, resampling, softmax."""

from math import prod

import numpy as np

from mcu_build.ir.arithmetic import MOST_OCTAVES
from mcu_build.ir.calls.int8 import (
    LogSoftmax,
    LogSoftmaxParams,
    MaskedSoftmax,
    MaskedSoftmaxParams,
    Norm,
    NormParams,
    NormStrides,
    Prelu,
    PreluParams,
    Resample,
    ResampleParams,
    Softmax,
    SoftmaxParams,
)
from mcu_build.ir.calls.struct import Pair
from mcu_build.ir.tensor import DType, Tensor
from mcu_build.plan.operators.layout import (
    contiguous,
    contiguous_output,
    image,
    image_output,
    image_size,
    model_strides,
    ordered,
)
from mcu_build.plan.select import Call, Selector

_LARGEST_GROUP = 1 << 22
# Of weights with 14 bits behind the point.
_LARGEST_SUM = 2 << 14


def prelu(call: Call) -> None:
    """(input, slopes, positive, shift, input_zero_point, output_zero_point, out)."""
    source, slopes, output = _operand(call), call.tensor(1), call.output
    channels = output.model_shape[1]
    if slopes.dtype is not DType.I32 or slopes.elements != channels:
        raise call.refuse(f"{slopes.elements} slopes of {slopes.dtype.numpy_name} for {channels} channels")
    place = output.dim_order.index(1)
    params = PreluParams(
        outer=prod(output.shape[:place]),
        channels=channels,
        inner=prod(output.shape[place + 1 :]),
        positive=call.integer(2),
        shift=call.integer(3),
        input_zero_point=call.integer(4),
        output_zero_point=call.integer(5),
    )
    call.append(Prelu(params, source.id, slopes.id, output.id))


def norm(call: Call) -> None:
    """(input, weight, bias, groups, centered, epsilon, input_zero_point, output_zero_point, shift, out)."""
    source, weight, bias, output = _operand(call), call.tensor(1), call.tensor(2), call.output
    n, channels, *rest = output.model_shape
    groups, positions = call.integer(3), prod(rest)
    per_group, left = divmod(channels, groups)
    if left or per_group * positions > _LARGEST_GROUP:
        raise call.refuse(f"{channels} channels of {positions} elements in {groups} groups")
    entries = {weight.elements, bias.elements}
    if weight.dtype is not DType.I32 or bias.dtype is not DType.I32 or entries not in ({1}, {channels}):
        raise call.refuse(f"weight and bias have {sorted(entries)} entries for {channels} channels")
    strides = model_strides(output)
    params = NormParams(
        batches=n,
        groups=groups,
        channels_per_group=per_group,
        positions=positions,
        strides=NormStrides(strides[0], strides[1], _position_stride(call, output)),
        parameter_stride=int(entries == {channels}),
        input_zero_point=call.integer(6),
        output_zero_point=call.integer(7),
        shift=call.integer(8),
        centered=bool(call.integer(4)),
        epsilon=call.integer(5),
    )
    call.append(Norm(params, source.id, weight.id, bias.id, output.id))


def _operand(call: Call) -> Tensor:
    """The int8 input with its memory in the order of the output's."""
    source, output = call.tensor(0), call.output
    if source.dtype is not DType.I8 or output.dtype is not DType.I8 or len(output.shape) < 2:
        raise call.refuse(f"{source.dtype.numpy_name}{list(source.shape)} to {output.dtype.numpy_name}")
    return ordered(call, source, output.dim_order)


def _position_stride(call: Call, tensor: Tensor) -> int:
    """Between neighbours of all dimensions behind the channels, which lie together in their order."""
    behind = [d for d in tensor.dim_order if d > 1 and tensor.model_shape[d] != 1]
    if behind != sorted(behind):
        raise call.refuse(f"{tensor.name} has its dimensions in the order {tensor.dim_order}")
    strides = model_strides(tensor)
    return strides[behind[-1]] if behind else 0


def resample(call: Call) -> None:
    """(input, row_starts, row_weights, column_starts, column_weights, input_zero_point, output_zero_point,
    multiplier, shift, out).
    """
    source, source_size = image(call, call.tensor(0))
    output, output_size = image_output(call)
    if source.dtype is not DType.I8 or output.dtype is not DType.I8:
        raise call.refuse(f"{source.dtype.numpy_name} to {output.dtype.numpy_name}")
    tables = [call.tensor(index) for index in range(1, 5)]
    for axis, (starts, weights) in enumerate((tables[:2], tables[2:])):
        check_taps(call, starts, weights, source_size[1 + axis], output_size[1 + axis])
    params = ResampleParams(
        batch=source_size[0],
        input=image_size(source_size),
        output=image_size(output_size),
        taps=Pair(tables[1].shape[1], tables[3].shape[1]),
        input_zero_point=call.integer(5),
        output_zero_point=call.integer(6),
        multiplier=call.integer(7),
        shift=call.integer(8),
    )
    starts_y, weights_y, starts_x, weights_x = (table.id for table in tables)
    call.append(Resample(params, source.id, starts_y, weights_y, starts_x, weights_x, output.id))


def check_taps(call: Call, starts: Tensor, weights: Tensor, inputs: int, outputs: int) -> None:
    """Runs have to lie inside the image, and their weights may not be so large that sums leave 32 bits."""
    if starts.data is None or weights.data is None or starts.shape != (outputs,):
        raise call.refuse(f"{starts.name} is no constant with an entry for each of {outputs} rows or columns")
    if starts.dtype is not DType.I32 or weights.dtype is not DType.I16 or weights.shape[:1] != (outputs,):
        raise call.refuse(f"{starts.name} of {starts.dtype.numpy_name}, weights {weights.shape}")
    first = np.frombuffer(starts.data, np.int32)
    factors = np.frombuffer(weights.data, np.int16).reshape(weights.shape).astype(np.int64)
    if first.min() < 0 or first.max() + weights.shape[1] > inputs:
        raise call.refuse(f"{starts.name} reaches beyond {inputs} rows or columns")
    if np.abs(factors).sum(axis=1).max() > _LARGEST_SUM:
        raise call.refuse(f"{weights.name}: the weights of an output add up to more than 2")


def softmax(call: Call) -> None:
    """(input, table, octaves, out): over the last dimension, in steps of 2^-(8 + octaves)."""
    source, table, output = call.tensor(0), call.tensor(1), call.output
    if source.dtype is not DType.I8 or output.dtype is not DType.I8:
        raise call.refuse(f"softmax of {source.dtype.numpy_name} to {output.dtype.numpy_name}")
    _check_table(call, table)
    axis = output.model_shape[-1]
    params = SoftmaxParams(
        outer=output.elements // axis, axis=axis, inner=1, zero_point=-128, octaves=_octaves(call, 2)
    )
    source = contiguous(call, source)
    with contiguous_output(call) as written:
        call.append(Softmax(params, source.id, table.id, written.id))


def _check_table(call: Call, table: Tensor) -> None:
    if table.dtype is not DType.I32 or table.elements != 256:
        raise call.refuse(f"a table of {table.elements} entries")


def _octaves(call: Call, index: int) -> int:
    octaves = call.integer(index)
    if not 0 <= octaves <= MOST_OCTAVES:
        raise call.refuse(f"{octaves} octaves")
    return octaves


def masked_softmax(call: Call) -> None:
    """(input [b, r, c], mask [1 | b, 1 | r, c] of bool or int8, table, octaves, out): where the mask is not
    0."""
    source, mask, table, output = call.tensor(0), call.tensor(1), call.tensor(2), call.output
    mask = contiguous(call, mask)
    if (
        source.dtype is not DType.I8
        or output.dtype is not DType.I8
        or mask.dtype not in (DType.I8, DType.BOOL)
    ):
        raise call.refuse(f"{source.dtype.numpy_name} and a mask of {mask.dtype.numpy_name}")
    shape, own = output.model_shape, mask.model_shape
    fits = len(shape) == len(own) == 3 and all(a in (1, b) for a, b in zip(own[:2], shape, strict=False))
    if not fits or own[2] != shape[2] or table.dtype is not DType.I32 or table.elements != 256:
        raise call.refuse(f"a mask of {list(own)} for {list(shape)}, a table of {table.elements} entries")
    params = MaskedSoftmaxParams(
        batches=shape[0],
        rows=shape[1],
        columns=shape[2],
        mask_batch_stride=0 if own[0] == 1 else own[1] * own[2],
        mask_row_stride=0 if own[1] == 1 else own[2],
        octaves=_octaves(call, 3),
    )
    source = contiguous(call, source)
    with contiguous_output(call) as written:
        call.append(MaskedSoftmax(params, source.id, mask.id, table.id, written.id))


def log_softmax(call: Call) -> None:
    """(input, table, step, octave, shift, output_zero_point, out): over the rows of a matrix."""
    source, table, output = call.tensor(0), call.tensor(1), call.output
    if source.dtype is not DType.I8 or output.dtype is not DType.I8 or len(output.shape) != 2:
        raise call.refuse(f"{source.dtype.numpy_name}{list(source.shape)} to {output.dtype.numpy_name}")
    _check_table(call, table)
    params = LogSoftmaxParams(
        rows=output.model_shape[0],
        columns=output.model_shape[1],
        step=call.integer(2),
        octave=call.integer(3),
        shift=call.integer(4),
        output_zero_point=call.integer(5),
    )
    source = contiguous(call, source)
    with contiguous_output(call) as written:
        call.append(LogSoftmax(params, source.id, table.id, written.id))


SELECTORS: dict[str, Selector] = {
    "mcu_build::prelu.out": prelu,
    "mcu_build::norm.out": norm,
    "mcu_build::resample.out": resample,
    "mcu_build::avg_pool2d.out": resample,
    "mcu_build::softmax.out": softmax,
    "mcu_build::masked_softmax.out": masked_softmax,
    "mcu_build::log_softmax.out": log_softmax,
}
