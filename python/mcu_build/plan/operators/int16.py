"""Operators on int16 activations (python/mcu_build/arithmetic/int16.py)."""

from math import prod

import numpy as np

from mcu_build.ir.calls.int8 import NormStrides
from mcu_build.ir.calls.int16 import (
    AddS16Params,
    BoundsS16,
    Conv2dS16,
    Conv2dS16Params,
    DepthwiseS16,
    LinearS16,
    LinearS16Params,
    LogSoftmaxS16Params,
    LookupS16,
    LookupS16Params,
    MaskedSoftmaxS16Params,
    MatmulS16,
    MatmulS16Params,
    MulS16Params,
    NormS16,
    NormS16Params,
    PairS16,
    PoolS16Params,
    ResampleS16,
    ResampleS16Params,
    RescaleS16,
    RescaleS16Params,
    SoftmaxS16Params,
    TransposeConv2dS16,
)
from mcu_build.ir.calls.struct import ImageSize, Pair, Window
from mcu_build.ir.tensor import DType, Tensor
from mcu_build.plan.operators.int8_forms import check_taps
from mcu_build.plan.operators.layout import (
    broadcast,
    contiguous,
    contiguous_output,
    image,
    image_output,
    image_size,
    model_strides,
    ordered,
    window,
)
from mcu_build.plan.select import Call, Selector

_EXP2_ENTRIES = 257
# Elements of a window whose sum fits 32 bits.
_LARGEST_WINDOW = 1 << 16
_LARGEST_GROUP = 1 << 15
_LARGEST_BITS = 8
_LARGEST_SHIFT = 62
# With this on, kernels take the high half of a product of 64 bits, and shift that.
_LEAST_SHIFT = 33


def rescale(call: Call) -> None:
    """(input, input_zero_point, multiplier, shift, output_zero_point, low, high, bits, out)."""
    output = call.output
    source = ordered(call, call.tensor(0), output.dim_order)
    known = (DType.I8, DType.I16)
    if source.dtype not in known or output.dtype not in known or source.dtype is output.dtype is DType.I8:
        raise call.refuse(f"{source.dtype.numpy_name} to {output.dtype.numpy_name}")
    numbers = call.integer(1), call.integer(2), _shift(call, 3), call.integer(4)
    params = RescaleS16Params(output.elements, *numbers, _bounds(call, 5))
    call.append(RescaleS16(params, source.id, output.id, source.dtype, output.dtype))


def linear(call: Call) -> None:
    """(input, weight, bias, multipliers, shifts, low, high, out)."""
    source, weights = contiguous(call, call.tensor(0)), contiguous(call, call.tensor(1))
    outputs, inputs = weights.shape
    if source.shape[-1] != inputs or call.output.model_shape != (*source.shape[:-1], outputs):
        raise call.refuse(f"weights {weights.shape} do not take {source.shape} to {call.output.model_shape}")
    bias, multipliers, shifts = _layer(call, source, weights, outputs)
    params = LinearS16Params(
        prod(source.shape[:-1]), inputs, outputs, _is_long(weights, bias, shifts), _bounds(call, 5)
    )
    with contiguous_output(call) as output:
        call.append(LinearS16(params, source.id, weights.id, bias.id, multipliers.id, shifts.id, output.id))


def conv2d(call: Call) -> None:
    """(input, weight OHWI, bias, multipliers, shifts, stride, padding, dilation, groups, low, high, out)."""
    _convolve(call, Conv2dS16, call.pair(7), call.integer(8), 9)


def transpose_conv2d(call: Call) -> None:
    """(input, weight OHWI, bias, multipliers, shifts, stride, padding, output_padding, dilation, low, high,
    out).
    """
    _convolve(call, TransposeConv2dS16, call.pair(8), 1, 9)


def _convolve(call: Call, kind: type[Conv2dS16], dilation: tuple[int, int], groups: int, bounds: int) -> None:
    source, source_size = image(call, call.tensor(0))
    output, output_size = image_output(call)
    weights = contiguous(call, call.tensor(1))
    outputs, height, width, depth = weights.shape
    if depth * groups != source_size[3] or outputs % groups or outputs != output_size[3]:
        raise call.refuse(
            f"weights {weights.shape} do not take {source_size[3]} channels to {output_size[3]}"
        )
    bias, multipliers, shifts = _layer(call, source, weights, outputs)
    params = Conv2dS16Params(
        source_size[0],
        image_size(source_size),
        image_size(output_size),
        window((height, width), call.pair(5), call.pair(6), dilation),
        groups,
        _is_long(weights, bias, shifts),
        _bounds(call, bounds),
    )
    if kind is Conv2dS16 and weights.data is not None and groups == source_size[3] == outputs:
        kind = DepthwiseS16
        taps = np.frombuffer(weights.data, np.int8).reshape(outputs, height, width).transpose(1, 2, 0)
        weights = call.constant(weights.name, DType.I8, taps.shape, taps.tobytes())
    call.append(kind(params, source.id, weights.id, bias.id, multipliers.id, shifts.id, output.id))


def _bounds(call: Call, index: int) -> BoundsS16:
    return BoundsS16(call.integer(index), call.integer(index + 1))


def _shift(call: Call, index: int) -> int:
    shift = call.integer(index)
    if not 0 <= shift <= _LARGEST_SHIFT:
        raise call.refuse(f"a shift of {shift}")
    return shift


def _layer(call: Call, source: Tensor, weights: Tensor, outputs: int) -> tuple[Tensor, Tensor, Tensor]:
    """Bias, multipliers and shifts, one for each output."""
    constants = [contiguous(call, call.tensor(index)) for index in (2, 3, 4)]
    types = [tensor.dtype for tensor in (source, weights, call.output, *constants)]
    if types != [DType.I16, DType.I8, DType.I16, *[DType.I32] * 3]:
        raise call.refuse(f"operands of {', '.join(kind.numpy_name for kind in types)}")
    if any(constant.elements != outputs for constant in constants):
        raise call.refuse(f"bias, multipliers and shifts for {outputs} outputs")
    return constants[0], constants[1], constants[2]


def _is_long(weights: Tensor, bias: Tensor, shifts: Tensor) -> bool:
    """Whether a sum can leave 32 bits, or a product counts with more than its high half."""
    if weights.data is None or bias.data is None or shifts.data is None:
        return True
    if np.frombuffer(shifts.data, np.int32).min(initial=_LEAST_SHIFT) < _LEAST_SHIFT:
        return True
    taps = np.frombuffer(weights.data, np.int8).astype(np.int64).reshape(weights.shape[0], -1)
    sums = np.abs(taps).sum(axis=1) * (1 << 15) + np.abs(np.frombuffer(bias.data, np.int32).astype(np.int64))
    return bool(sums.max(initial=0) >= 1 << 31)


def add(call: Call) -> None:
    """(first, second, first_multiplier, second_multiplier, shift, low, high, out)."""
    first, second, output = _pair(call)
    numbers = call.integer(2), call.integer(3), _shift(call, 4)
    params = AddS16Params(broadcast(call, first, second, output), *numbers, _bounds(call, 5))
    call.append(PairS16(params, first.id, second.id, output.id))


def mul(call: Call) -> None:
    """(first, second, multiplier, shift, low, high, out)."""
    first, second, output = _pair(call)
    params = MulS16Params(
        broadcast(call, first, second, output), call.integer(2), _shift(call, 3), _bounds(call, 4)
    )
    call.append(PairS16(params, first.id, second.id, output.id))


def _pair(call: Call) -> tuple[Tensor, Tensor, Tensor]:
    tensors = call.tensor(0), call.tensor(1), call.output
    _all_int16(call, tensors)
    return tensors


def _all_int16(call: Call, tensors: tuple[Tensor, ...]) -> None:
    if any(tensor.dtype is not DType.I16 for tensor in tensors):
        raise call.refuse(
            f"operands and output of {', '.join(tensor.dtype.numpy_name for tensor in tensors)}"
        )


def matmul(call: Call) -> None:
    """(left, right with its last two dimensions exchanged, multiplier, shift, out)."""
    left, right = contiguous(call, call.tensor(0)), contiguous(call, call.tensor(1))
    _all_int16(call, (left, right, call.output))
    if len(left.shape) != 3 or len(right.shape) != 3 or left.shape[::2] != right.shape[::2]:
        raise call.refuse(f"operands {left.shape} and {right.shape} (columns as rows) do not fit")
    (batch, rows, inner), columns = left.shape, right.shape[1]
    params = MatmulS16Params(batch, rows, columns, inner, call.integer(2), _shift(call, 3))
    with contiguous_output(call) as output:
        call.append(MatmulS16(params, left.id, right.id, output.id))


def max_pool2d(call: Call) -> None:
    """(input, kernel_size, stride, padding, dilation, rounds_up, out)."""
    source, output, params = _pool(call, call.pair(4), 0)
    call.emit("max_pool2d_s16", "pool_s16", params, [source], [output])


def avg_pool2d(call: Call) -> None:
    """(input, kernel_size, stride, padding, rounds_up, multipliers, shift, out)."""
    source, output, params = _pool(call, (1, 1), _shift(call, 6))
    multipliers, elements = call.tensor(5), params.window.size.product
    if multipliers.dtype is not DType.I32 or not elements < min(multipliers.elements, _LARGEST_WINDOW):
        raise call.refuse(f"{multipliers.elements} multipliers for a window of {params.window.size}")
    call.emit("avg_pool2d_s16", "pool_s16", params, [source, multipliers], [output])


def _pool(call: Call, dilation: tuple[int, int], shift: int) -> tuple[Tensor, Tensor, PoolS16Params]:
    source, source_size = image(call, call.tensor(0))
    output, output_size = image_output(call)
    _all_int16(call, (source, output))
    sizes: tuple[ImageSize, ImageSize] = image_size(source_size), image_size(output_size)
    moved: Window = window(call.pair(1), call.pair(2), call.pair(3), dilation)
    return source, output, PoolS16Params(source_size[0], *sizes, moved, shift)


def resample(call: Call) -> None:
    """(input, row_starts, row_weights, column_starts, column_weights, multiplier, shift, low, high, out)."""
    source, source_size = image(call, call.tensor(0))
    output, output_size = image_output(call)
    _all_int16(call, (source, output))
    tables = [call.tensor(index) for index in range(1, 5)]
    for axis, (starts, weights) in enumerate((tables[:2], tables[2:])):
        check_taps(call, starts, weights, source_size[1 + axis], output_size[1 + axis])
    sizes = image_size(source_size), image_size(output_size)
    taps = Pair(tables[1].shape[1], tables[3].shape[1])
    params = ResampleS16Params(
        source_size[0], *sizes, taps, call.integer(5), _shift(call, 6), _bounds(call, 7)
    )
    starts_y, weights_y, starts_x, weights_x = (table.id for table in tables)
    call.append(ResampleS16(params, source.id, starts_y, weights_y, starts_x, weights_x, output.id))


def lookup(call: Call) -> None:
    """(input, table, bits, out)."""
    output = call.output
    source, table, bits = ordered(call, call.tensor(0), output.dim_order), call.tensor(1), call.integer(2)
    _all_int16(call, (source, table, output))
    if not 0 < bits <= _LARGEST_BITS or table.elements != (1 << (16 - bits)) + 1:
        raise call.refuse(f"a table of {table.elements} entries for steps of 2^{bits}")
    call.append(LookupS16(LookupS16Params(output.elements, bits), source.id, table.id, output.id))


def softmax(call: Call) -> None:
    """(input, dimension, table, multiplier, shift, out)."""
    table, shape = call.tensor(2), call.output.model_shape
    source = contiguous(call, call.tensor(0))
    _all_int16(call, (source, call.output))
    if table.dtype is not DType.I32 or table.elements != _EXP2_ENTRIES:
        raise call.refuse(f"a table of {table.elements} entries")
    axis = call.integer(1) % len(shape)
    params = SoftmaxS16Params(
        prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :]), call.integer(3), _shift(call, 4)
    )
    with contiguous_output(call) as output:
        call.emit("softmax_s16", "softmax_s16", params, [source, table], [output])


def log_softmax(call: Call) -> None:
    """(input, table, multiplier, shift, step, octave, output_shift, out): over the rows of a matrix."""
    source, table, shape = contiguous(call, call.tensor(0)), call.tensor(1), call.output.model_shape
    _all_int16(call, (source, call.output))
    if len(shape) != 2 or table.dtype is not DType.I32 or table.elements != _EXP2_ENTRIES:
        raise call.refuse(f"{list(shape)} with a table of {table.elements} entries")
    factors = call.integer(4), call.integer(5), _shift(call, 6)
    params = LogSoftmaxS16Params(*shape, call.integer(2), _shift(call, 3), *factors)
    with contiguous_output(call) as output:
        call.emit("log_softmax_s16", "log_softmax_s16", params, [source, table], [output])


def masked_softmax(call: Call) -> None:
    """(input [b, r, c], mask [1 | b, 1 | r, c] of bool or int8, table, multiplier, shift, out)."""
    source, mask, table = contiguous(call, call.tensor(0)), contiguous(call, call.tensor(1)), call.tensor(2)
    _all_int16(call, (source, call.output))
    shape, own = call.output.model_shape, mask.model_shape
    fits = len(shape) == len(own) == 3 and all(a in (1, b) for a, b in zip(own[:2], shape, strict=False))
    if not fits or own[2] != shape[2] or mask.dtype not in (DType.I8, DType.BOOL):
        raise call.refuse(f"a mask {list(own)} of {mask.dtype.numpy_name} for {list(shape)}")
    if table.dtype is not DType.I32 or table.elements != _EXP2_ENTRIES:
        raise call.refuse(f"a table of {table.elements} entries")
    params = MaskedSoftmaxS16Params(
        shape[0],
        shape[1],
        shape[2],
        0 if own[0] == 1 else own[1] * own[2],
        0 if own[1] == 1 else own[2],
        call.integer(3),
        _shift(call, 4),
    )
    with contiguous_output(call) as output:
        call.emit("masked_softmax_s16", "softmax_s16", params, [source, mask, table], [output])


def norm(call: Call) -> None:
    """(input, weight, bias, groups, centered, epsilon, shift, out)."""
    weight, bias, output = call.tensor(1), call.tensor(2), call.output
    source = ordered(call, call.tensor(0), output.dim_order)
    _all_int16(call, (source, output))
    n, channels, *rest = output.model_shape
    groups, positions = call.integer(3), prod(rest)
    entries = {weight.elements, bias.elements}
    if channels % groups or channels // groups * positions > _LARGEST_GROUP:
        raise call.refuse(f"{channels} channels of {positions} elements in {groups} groups")
    if weight.dtype is not DType.I32 or bias.dtype is not DType.I32 or entries not in ({1}, {channels}):
        raise call.refuse(f"weight and bias have {sorted(entries)} entries for {channels} channels")
    behind = [d for d in output.dim_order if d > 1 and output.model_shape[d] != 1]
    if behind != sorted(behind):
        raise call.refuse(f"{output.name} has its dimensions in the order {output.dim_order}")
    strides = model_strides(output)
    params = NormS16Params(
        batches=n,
        groups=groups,
        channels_per_group=channels // groups,
        positions=positions,
        strides=NormStrides(strides[0], strides[1], strides[behind[-1]] if behind else 0),
        parameter_stride=int(entries == {channels}),
        shift=_shift(call, 6),
        centered=bool(call.integer(4)),
        epsilon=call.integer(5),
    )
    call.append(NormS16(params, source.id, weight.id, bias.id, output.id))


SELECTORS: dict[str, Selector] = {
    f"mcu_build::{name}_s16.out": selector
    for name, selector in {
        "rescale": rescale,
        "linear": linear,
        "conv2d": conv2d,
        "transpose_conv2d": transpose_conv2d,
        "add": add,
        "mul": mul,
        "matmul": matmul,
        "max_pool2d": max_pool2d,
        "avg_pool2d": avg_pool2d,
        "resample": resample,
        "lookup": lookup,
        "softmax": softmax,
        "masked_softmax": masked_softmax,
        "log_softmax": log_softmax,
        "norm": norm,
    }.items()
}
