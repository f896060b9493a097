"""Operators that reduce dimensions, or run along one: sums, extremes, softmax, normalization."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

from mcu_build.ir.calls.portable import (
    AlongParams,
    BatchNormParams,
    GroupNormParams,
    ImageStrides,
    LayerNormParams,
    MedianParams,
    ReduceParams,
    ScanParams,
    VarianceParams,
)
from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.program import Value
from mcu_build.ir.tensor import DType, Tensor
from mcu_build.plan.operators.layout import (
    contiguous,
    contiguous_output,
    copy_strided,
    merge,
    model_strides,
    padded,
)
from mcu_build.plan.operators.portable_binary import emit_pair, like, scalar
from mcu_build.plan.operators.portable_movement import SUFFIX, axis, convert, converted
from mcu_build.plan.operators.portable_unary import emit_unary, flat_operand
from mcu_build.plan.select import Call, Selector

_RANK = 4
_Line = Callable[[int, int, int], Struct]
_EXTREMES = (DType.I8, DType.I16, DType.I32, DType.I64, DType.F32)


def _dimensions(call: Call, source: Tensor, dimensions: Value) -> tuple[int, ...]:
    """The dimensions to reduce, from the front: none given means all."""
    rank = len(source.shape)
    if dimensions is None or dimensions == ():
        return tuple(range(rank))
    listed = [
        d for d in (dimensions if isinstance(dimensions, tuple) else (dimensions,)) if isinstance(d, int)
    ]
    if not listed:
        raise call.refuse(f"dimensions {dimensions!r}")
    return tuple(sorted({axis(call, source, dimension) for dimension in listed})) if rank else ()


def _space(call: Call, source: Tensor, output: Tensor, dimensions: Sequence[int]) -> ReduceParams:
    """What to do over `dimensions` of `source`, positions in the order of the model."""
    rank = len(source.shape)
    kept = [d for d in range(rank) if d not in dimensions]
    if len(output.shape) == rank:
        order = [d for d in output.dim_order if d not in dimensions]
    else:
        order = [kept[d] for d in output.dim_order]
    if output.elements != prod(source.model_shape[d] for d in kept):
        raise call.refuse(f"reducing {source.model_shape} over {dimensions} gives not {output.model_shape}")
    strides = model_strides(source)
    members: list[tuple[int, ...]] = []
    for listed in (order, dimensions):
        rows = merge([source.model_shape[d] for d in listed], [[strides[d] for d in listed]])
        if len(rows) > _RANK:
            raise call.refuse(
                f"reducing {source.model_shape} over {dimensions}: too many separate dimensions"
            )
        members.append(padded((row[0] for row in rows), 1, _RANK))
        members.append(padded((row[1] for row in rows), 0, _RANK))
    return ReduceParams(*members)


def _reduce(call: Call, name: str, dimensions: Value, output: Tensor, dtype: DType) -> None:
    """One step of the kernel `name` for `dtype`, to which the input is converted."""
    source = converted(call, call.tensor(0), dtype)
    space = _space(call, source, output, _dimensions(call, source, dimensions))
    call.emit(f"{name}_{SUFFIX[dtype]}", "reduce", space, [source], [output])


def _sum(name: str, argument: int | None) -> Selector:
    def summed(call: Call) -> None:
        """(input, dim, keepdim, dtype, out), or all dimensions: float32; integers in int64."""
        output, dimensions = call.output, None if argument is None else call.value(argument)
        if output.dtype in (DType.F32, DType.I64):
            _reduce(call, name, dimensions, output, output.dtype)
            return
        total = like(call, output, DType.I64)
        _reduce(call, name, dimensions, total, DType.I64)
        convert(call, total, output)

    return summed


def _mean(argument: int | None) -> Selector:
    def mean(call: Call) -> None:
        """(input, dim, keepdim, dtype, out), or all dimensions: float32."""
        if call.output.dtype is not DType.F32:
            raise call.refuse(f"no kernel for {call.output.dtype.numpy_name}")
        _reduce(call, "mean", None if argument is None else call.value(argument), call.output, DType.F32)

    return mean


def _of_booleans(name: str, argument: int | None) -> Selector:
    def reduced(call: Call) -> None:
        """(input, dim, keepdim, out), or all dimensions: bool."""
        if call.output.dtype is not DType.BOOL:
            raise call.refuse(f"no kernel for a result of type {call.output.dtype.numpy_name}")
        _reduce(call, name, None if argument is None else call.value(argument), call.output, DType.BOOL)

    return reduced


def _extreme(name: str, argument: int | None) -> Selector:
    def extreme(call: Call) -> None:
        """(input, dim, keepdim, out), or all dimensions: float32, integers or bool."""
        _emit_extreme(call, name, None if argument is None else call.value(argument), call.output)

    return extreme


def _emit_extreme(call: Call, name: str, dimensions: Value, output: Tensor) -> None:
    """The largest or smallest entry, or where it stands; of narrow types as of one that holds them."""
    source = call.tensor(0)
    dtype = {DType.BOOL: DType.I8, DType.U8: DType.I16}.get(source.dtype, source.dtype)
    if output.dtype is not source.dtype or dtype is source.dtype:
        _reduce(call, name, dimensions, output, dtype)
        return
    wide = like(call, output, dtype)
    _reduce(call, name, dimensions, wide, dtype)
    convert(call, wide, output)


def _extreme_with_position(name: str) -> Selector:
    def extreme(call: Call) -> None:
        """(input, dim, keepdim, values, indices): the indices only where something reads them."""
        values, indices = call.outputs(2)
        _emit_extreme(call, f"a{name}", call.value(1), values)
        if call.is_used(indices):
            _emit_extreme(call, f"arg{name}", call.value(1), indices)

    return extreme


def _require(call: Call, tensor: Tensor, dtypes: Sequence[DType]) -> None:
    if tensor.dtype not in dtypes:
        raise call.refuse(f"no kernel for {tensor.dtype.numpy_name}")


def var_correction(call: Call) -> None:
    """(input, dim, correction, keepdim, out): float32."""
    _variance(call, 1.0 if call.value(2) is None else call.real(2), call.output)


def var(call: Call) -> None:
    """(input, dim, unbiased, keepdim, out): float32."""
    _variance(call, float(call.integer(2)), call.output)


def var_mean(call: Call) -> None:
    """(input, dim, correction, keepdim, variance, mean): float32."""
    variance, mean = call.outputs(2)
    _variance(call, 1.0 if call.value(2) is None else call.real(2), variance)
    _reduce(call, "mean", call.value(1), mean, DType.F32)


def _variance(call: Call, correction: float, output: Tensor) -> None:
    source = call.tensor(0)
    _require(call, source, (DType.F32,))
    dimensions = _dimensions(call, source, call.value(1))
    count = prod(source.model_shape[d] for d in dimensions)
    params = VarianceParams(
        space=_space(call, source, output, dimensions), divisor=max(count - correction, 0.0)
    )
    call.emit("var_f32", "reduce", params, [source], [output])


def _along(name: str) -> Selector:
    def along(call: Call) -> None:
        """(input, dim, ..., out): float32 along one dimension."""
        _emit_along(call, name, "along", AlongParams, (DType.F32,))

    return along


def _scan(name: str, source: str, kind: _Line) -> Selector:
    def scan(call: Call) -> None:
        """(input, dim, dtype, out): float32, or integers in int64, along one dimension."""
        _emit_along(call, name, source, kind, (DType.F32, DType.I64))

    return scan


def _emit_along(call: Call, name: str, source: str, kind: _Line, dtypes: Sequence[DType]) -> None:
    output = call.output
    _require(call, output, dtypes)
    operand = flat_operand(call, converted(call, call.tensor(0), output.dtype), output)
    params = kind(*_line(call, output))
    call.emit(f"{name}_{SUFFIX[output.dtype]}", source, params, [operand], [output])


def _line(call: Call, output: Tensor) -> tuple[int, int, int]:
    """Elements outside, along and inside the dimension that argument 1 names, in the output's memory."""
    position = output.dim_order.index(axis(call, output, call.integer(1))) if output.shape else 0
    size = output.shape[position] if output.shape else 1
    return prod(output.shape[:position]), size, prod(output.shape[position + 1 :])


def _extreme_scan(name: str) -> Selector:
    def scan(call: Call) -> None:
        """(input, dim, values, indices): float32 or signed integers; the last of equal entries."""
        values, indices = call.outputs(2)
        _require(call, values, _EXTREMES)
        if not call.same_order(values, indices):
            raise call.refuse(f"results in memory orders {values.dim_order} and {indices.dim_order}")
        source = flat_operand(call, call.tensor(0), values)
        params = ScanParams(*_line(call, values))
        call.emit(f"{name}_{SUFFIX[values.dtype]}", "scan", params, [source], [values, indices])

    return scan


def median(call: Call) -> None:
    """(input, dim, keepdim, values, indices): float32 or signed integers; the first of equal entries."""
    values, indices = call.outputs(2)
    _require(call, values, (DType.I8, DType.I32, DType.I64, DType.F32))
    source = contiguous(call, call.tensor(0))
    shape, place = source.model_shape, axis(call, source, call.integer(1))
    params = MedianParams(prod(shape[:place]), prod(shape[place : place + 1]), prod(shape[place + 1 :]))
    with contiguous_output(call, values) as medians, contiguous_output(call, indices) as places:
        call.emit(f"median_{SUFFIX[values.dtype]}", "median", params, [source], [medians, places])


def layer_norm(call: Call) -> None:
    """(input, normalized_shape, weight, bias, eps, out, mean, rstd): float32."""
    output, *statistics = call.outputs(3)
    _require(call, output, (DType.F32,))
    rank = len(call.integers(1))
    dimensions = range(len(output.shape) - rank, len(output.shape))
    _statistics(call, call.tensor(0), dimensions, call.real(4), statistics)
    size = prod(call.integers(1))
    params = LayerNormParams(rows=output.elements // size, size=size, epsilon=call.real(4))
    affine = [contiguous(call, t) if t else None for t in map(call.optional_tensor, (2, 3))]
    reads = [contiguous(call, call.tensor(0)), *affine]
    with contiguous_output(call, output) as written:
        call.emit("layer_norm_f32", "norm_f32", params, reads, [written])


def group_norm(call: Call) -> None:
    """(input, weight, bias, N, C, HxW, group, eps, out, mean, rstd): float32."""
    output, *statistics = call.outputs(3)
    groups = call.integer(6)
    if any(call.is_used(tensor) for tensor in statistics):
        source = contiguous(call, call.tensor(0))
        batches = output.model_shape[0]
        shape = (batches, groups, source.elements // (batches * groups))
        grouped = call.temporary(source.name, source.dtype, shape)
        call.alias(grouped, source)
        _statistics(call, grouped, [2], call.real(7), statistics)
    _group_norm(call, output, groups, call.real(7))


def instance_norm(call: Call) -> None:
    """(input, weight, bias, training, momentum, eps, out, mean, invstd): float32, by channel.

    They are taken over the batch, too: a batch of one is a group norm with a channel a group, any other is
    one with its channels and its batch exchanged, and the factors of a channel apart.
    """
    output, *statistics = call.outputs(3)
    rest = [dimension for dimension in range(len(output.shape)) if dimension != 1]
    _statistics(call, call.tensor(0), rest, call.real(5), statistics)
    channels = output.model_shape[1]
    if output.model_shape[0] == 1:
        _group_norm(call, output, channels, call.real(5))
        return
    order = (1, 0, *range(2, len(output.shape)))
    shape = tuple(output.model_shape[d] for d in order)
    exchanged, normal = (call.temporary(output.name, DType.F32, shape) for _ in range(2))
    strides = model_strides(call.tensor(0))
    copy_strided(call, call.tensor(0), exchanged, [strides[d] for d in order])
    params = GroupNormParams(channels, 1, shape[1], *_image(call, normal), call.real(5))
    call.emit("group_norm_f32", "norm_f32", params, [exchanged, None, None], [normal])
    for index, name in ((1, "mul"), (2, "add")):
        factor = call.optional_tensor(index)
        if factor is not None:
            wide = replace(
                factor, shape=(channels, *(1,) * (len(shape) - 1)), dim_order=tuple(range(len(shape)))
            )
            made = call.temporary(output.name, DType.F32, shape)
            emit_pair(call, name, normal, wide, made)
            normal = made
    strides = model_strides(normal)
    copy_strided(call, normal, output, [strides[d] for d in order])


def _group_norm(call: Call, output: Tensor, groups: int, epsilon: float) -> None:
    pixels, strides = _image(call, output)
    channels = output.model_shape[1]
    params = GroupNormParams(
        batches=output.model_shape[0],
        groups=groups,
        channels_per_group=channels // groups,
        pixels=pixels,
        strides=strides,
        epsilon=epsilon,
    )
    source = flat_operand(call, call.tensor(0), output)
    reads = [source, call.optional_tensor(1), call.optional_tensor(2)]
    call.emit("group_norm_f32", "norm_f32", params, reads, [output])


def batch_norm(call: Call) -> None:
    """(input, weight, bias, running_mean, running_var, momentum, eps, out, mean, invstd): float32."""
    output, *statistics = call.outputs(3)
    _require_unused(call, [tensor for tensor in statistics if tensor.elements])
    _batch_norm(call, output, call.real(6))


def batch_norm_legit(call: Call) -> None:
    """(input, weight, bias, running_mean, running_var, training, ..., out, mean, invstd): float32."""
    output, *statistics = call.outputs(3)
    _require_unused(call, [tensor for tensor in statistics if tensor.elements])
    if call.integer(5):
        raise call.refuse("it is training: call model.eval() before export")
    _batch_norm(call, output, call.real(7))


def _batch_norm(call: Call, output: Tensor, epsilon: float) -> None:
    params = BatchNormParams(output.model_shape[0], output.model_shape[1], *_image(call, output), epsilon)
    source = flat_operand(call, call.tensor(0), output)
    statistics = [call.optional_tensor(1), call.optional_tensor(2), call.tensor(3), call.tensor(4)]
    call.emit("batch_norm_f32", "norm_f32", params, [source, *statistics], [output])


def _image(call: Call, output: Tensor) -> tuple[int, ImageStrides]:
    """Number of pixels, and strides of batch, channel and pixel, of [N, C, ...] in any memory layout."""
    _require(call, output, (DType.F32,))
    strides = model_strides(output)
    spatial = [d for d in output.dim_order if d >= 2]
    rows = merge([output.model_shape[d] for d in spatial], [[strides[d] for d in spatial]])
    if len(rows) > 1:
        raise call.refuse(f"the pixels of {output.name} are not evenly spaced: order {output.dim_order}")
    pixels, pixel = rows[0] if rows else (1, 0)
    return pixels, ImageStrides(strides[0], strides[1], pixel)


def _statistics(
    call: Call, source: Tensor, dimensions: Sequence[int], epsilon: float, outputs: Sequence[Tensor]
) -> None:
    """Mean and 1 / sqrt(variance + epsilon) over `dimensions`, where anything reads them."""
    mean, deviation = outputs
    if call.is_used(mean):
        call.emit("mean_f32", "reduce", _space(call, source, mean, dimensions), [source], [mean])
    if call.is_used(deviation):
        variance, raised = like(call, deviation), like(call, deviation)
        count = prod(source.model_shape[d] for d in dimensions)
        space = _space(call, source, variance, dimensions)
        params = VarianceParams(space=space, divisor=float(count))
        call.emit("var_f32", "reduce", params, [source], [variance])
        emit_pair(call, "add", variance, scalar(call, epsilon, DType.F32), raised)
        emit_unary(call, "rsqrt", raised, deviation)


def _require_unused(call: Call, statistics: Sequence[Tensor]) -> None:
    if any(call.is_used(tensor) for tensor in statistics):
        raise call.refuse("its mean and deviation are used: no kernel hands them out")


SELECTORS: dict[str, Selector] = {
    "aten::sum.IntList_out": _sum("sum", 1),
    "aten::prod.int_out": _sum("prod", 1),
    "aten::prod.out": _sum("prod", None),
    "aten::mean.out": _mean(1),
    "aten::mean.dim_out": _mean(1),
    "aten::mean.dtype_out": _mean(None),
    **{
        f"aten::{name}.{overload}": _of_booleans(name, argument)
        for name in ("any", "all")
        for overload, argument in (("out", 1), ("dims_out", 1), ("all_out", None))
    },
    **{f"aten::{name}.out": _extreme(name, 1) for name in ("amax", "amin", "argmax", "argmin")},
    **{f"aten::{name}.unary_out": _extreme(f"a{name}", None) for name in ("max", "min")},
    "aten::max.dim_max": _extreme_with_position("max"),
    "aten::min.dim_min": _extreme_with_position("min"),
    "aten::var.correction_out": var_correction,
    "aten::var.out": var,
    "aten::var_mean.correction_out": var_mean,
    "aten::_softmax.out": _along("softmax"),
    "aten::_log_softmax.out": _along("log_softmax"),
    "aten::cumsum.out": _scan("cumsum", "along", AlongParams),
    "aten::cumprod.out": _scan("cumprod", "scan", ScanParams),
    "aten::cummax.out": _extreme_scan("cummax"),
    "aten::cummin.out": _extreme_scan("cummin"),
    "aten::median.dim_values": median,
    "aten::native_layer_norm.out": layer_norm,
    "aten::native_group_norm.out": group_norm,
    "aten::_native_batch_norm_legit_no_training.out": batch_norm,
    "aten::_native_batch_norm_legit.out": batch_norm_legit,
    "aten::_native_batch_norm_legit.no_stats_out": instance_norm,
}
