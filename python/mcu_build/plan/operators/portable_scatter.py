"""Operators that write into a copy of a tensor: at positions held by a tensor, or at a part of it.

Positions are taken in order: of several values for one place the last stays, and a sum is taken in it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from mcu_build.ir.calls.portable import InsertParams, MaskedScatterParams, PutParams, ScatterParams
from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.tensor import DType, Tensor
from mcu_build.plan.operators.layout import (
    contiguous,
    contiguous_output,
    copy_strided,
    merge,
    model_strides,
    ordered,
    padded,
)
from mcu_build.plan.operators.portable_binary import emit_pair, emit_where, like, operand, scalar
from mcu_build.plan.operators.portable_gather import joined, positions
from mcu_build.plan.operators.portable_movement import SUFFIX, View, axis, converted
from mcu_build.plan.operators.portable_unary import INTEGER_LIMITS
from mcu_build.plan.select import Call, Selector

_RANK = 6
_COMBINED = (DType.I32, DType.I64, DType.F32)
_HOW = {
    **dict.fromkeys(("sum", "add", "mean"), "add"),
    **dict.fromkeys(("prod", "multiply"), "mul"),
    "amax": "max",
    "amin": "min",
}


def scatter(call: Call) -> None:
    """(input, dim, index, source or value, out): any type."""
    _scatter(call, "set", call.tensor(0), operand(call, 3, call.output.dtype), call.output)


def scatter_add(call: Call) -> None:
    """(input, dim, index, source, out): float32, int32 or int64."""
    _scatter(call, "add", call.tensor(0), call.tensor(3), call.output)


def scatter_with(call: Call) -> None:
    """(input, dim, index, source or value, reduce, out): float32, int32 or int64; add or multiply."""
    _scatter(call, _how(call, 4), call.tensor(0), operand(call, 3, call.output.dtype), call.output)


def scatter_reduce(call: Call) -> None:
    """(input, dim, index, source, reduce, include_self, out): float32, int32 or int64."""

    def write(how: str, into: Tensor, source: Tensor, output: Tensor) -> None:
        _scatter(call, how, into, source, output)

    _reduced(call, write)


def index_reduce(call: Call) -> None:
    """(input, dim, index, source, reduce, include_self, out): float32, int32 or int64."""
    index = positions(call, call.tensor(2))
    dimension = axis(call, call.tensor(0), call.integer(1))

    def write(how: str, into: Tensor, source: Tensor, output: Tensor) -> None:
        shape = (*output.model_shape[:dimension], index.elements, *output.model_shape[dimension + 1 :])
        _put(call, how, into, (dimension, 1), index, _expanded(call, source, shape), output)

    _reduced(call, write)


def _how(call: Call, index: int) -> str:
    name = call.value(index)
    if name not in _HOW:
        raise call.refuse(f"reduce={name!r}")
    return _HOW[str(name)]


_Write = Callable[[str, Tensor, Tensor, Tensor], None]


def _reduced(call: Call, write: _Write) -> None:
    """`write` of all values, the mean as a sum by a number, into the input or what changes no result."""
    how, is_mean = _how(call, 4), call.value(4) == "mean"
    into, source, output = call.tensor(0), call.tensor(3), call.output
    if output.dtype not in _COMBINED:
        raise call.refuse(f"no kernel for {output.dtype.numpy_name}")
    if not call.integer(5):
        cleared = like(call, output)
        write("set", into, scalar(call, _neutral(how, output.dtype), output.dtype), cleared)
        into = cleared
    if not is_mean:
        write(how, into, source, output)
        return
    total, count, divisor = (like(call, output) for _ in range(3))
    write("add", into, source, total)
    start = np.full(output.shape, int(bool(call.integer(5))), output.dtype.numpy_name)
    zeros = replace(
        call.constant("count", output.dtype, output.shape, start.tobytes()), dim_order=output.dim_order
    )
    write("add", zeros, scalar(call, 1, output.dtype), count)
    # Where nothing was written the sum is the input itself.
    emit_pair(call, "maximum", count, scalar(call, 1, output.dtype), divisor)
    emit_pair(call, "div" if output.dtype is DType.F32 else "div_floor", total, divisor, output)


def _neutral(how: str, dtype: DType) -> float:
    """What changes no result of the combination."""
    low, high = (-float("inf"), float("inf")) if dtype is DType.F32 else INTEGER_LIMITS[dtype]
    return {"add": 0, "mul": 1, "max": low, "min": high}[how]


def _scatter(call: Call, how: str, into: Tensor, source: Tensor, output: Tensor) -> None:
    """One step that writes `source`, or one value, at the positions of the call along its dimension."""
    index = positions(call, call.tensor(2))
    if len(output.shape) > _RANK or source.dtype is not output.dtype:
        raise call.refuse(f"scattering {source.dtype.numpy_name} into {output.model_shape}")
    dimension = axis(call, output, call.integer(1))
    strides = model_strides(output)
    others = [0 if d == dimension else stride for d, stride in enumerate(strides)]
    params = ScatterParams(
        elements=output.elements,
        shape=padded(index.model_shape, 1),
        source=padded(model_strides(source) if source.shape else [0] * len(others), 0),
        output=padded(others, 0),
        size=output.model_shape[dimension] if strides else 1,
        stride=strides[dimension] if strides else 0,
    )
    _emit(call, f"scatter_{how}", params, into, index, source, output)


def _emit(
    call: Call, name: str, params: Struct, into: Tensor, index: Tensor, source: Tensor, output: Tensor
) -> None:
    if not name.endswith("_set"):
        if output.dtype not in _COMBINED:
            raise call.refuse(f"no kernel for {output.dtype.numpy_name}")
        kernel = f"{name}_{SUFFIX[output.dtype]}"
    else:
        kernel = f"{name}_x{output.dtype.size * 8}"
    base = ordered(call, into, output.dim_order)
    call.emit(kernel, "scatter", params, [base, index, source], [output])


def index_put(call: Call) -> None:
    """(input, indices, values, accumulate, out): positions as for index.Tensor, or one mask and one value."""
    source, output = call.tensor(0), call.output
    entries = call.optional_tensors(1)
    indexed = [dimension for dimension, index in enumerate(entries) if index is not None]
    indices = [index for index in entries if index is not None]
    values = converted(call, call.tensor(2), output.dtype)
    if any(index.dtype is DType.BOOL for index in indices):
        _put_masked(call, indexed, indices, values)
        return
    order = list(range(len(source.shape)))
    if indexed != list(range(indexed[0], indexed[-1] + 1)):
        order = [*indexed, *(d for d in order if d not in indexed)]
    first, joint = order.index(indexed[0]), len(indexed)
    shape = tuple(source.model_shape[d] for d in order)
    places = [positions(call, index) for index in indices]
    index = contiguous(call, joined(call, places, shape[first : first + joint]))
    wanted = (*shape[:first], *index.model_shape, *shape[first + joint :])
    how = "add" if call.integer(3) else "set"
    written = call.temporary(output.name, output.dtype, shape)
    moved = _permuted(call, source, order, shape)
    _put(call, how, moved, (first, joint), index, _expanded(call, values, wanted), written)
    strides = model_strides(written)
    copy_strided(call, written, output, [strides[order.index(d)] for d in range(len(order))])


def _permuted(call: Call, source: Tensor, order: Sequence[int], shape: tuple[int, ...]) -> Tensor:
    strides = model_strides(source)
    moved = call.temporary(source.name, source.dtype, shape)
    copy_strided(call, source, moved, [strides[d] for d in order])
    return moved


def _put_masked(call: Call, indexed: Sequence[int], indices: Sequence[Tensor], values: Tensor) -> None:
    """A mask over the first dimensions, and a value that is the same wherever it is set."""
    source = call.tensor(0)
    (mask, *more) = indices
    rest = len(source.shape) - len(mask.shape)
    if (
        more
        or indexed != [0]
        or call.integer(3)
        or prod(values.model_shape[: max(len(values.shape) - rest, 0)]) != 1
    ):
        raise call.refuse(
            "a mask decides how many values are written: write torch.where(mask, values, x) for it"
        )
    wide = replace(contiguous(call, mask), shape=(*mask.model_shape, *(1,) * rest))
    wide = replace(wide, dim_order=tuple(range(len(wide.shape))))
    emit_where(call, wide, values, source)


def _put(
    call: Call,
    how: str,
    into: Tensor,
    dimensions: tuple[int, int],
    index: Tensor,
    source: Tensor,
    output: Tensor,
) -> None:
    """One step over `dimensions` (the first, and how many) that count as one. `source` is dense."""
    first, joint = dimensions
    shape = output.model_shape
    params = PutParams(
        outer=prod(shape[:first]),
        size=prod(shape[first : first + joint]),
        count=index.elements,
        inner=prod(shape[first + joint :]),
    )
    if not call.is_contiguous(output):
        dense = call.temporary(output.name, output.dtype, shape)
        _emit(call, f"put_{how}", params, into, index, source, dense)
        copy_strided(call, dense, output, model_strides(dense))
    else:
        _emit(call, f"put_{how}", params, into, index, source, output)


def _expanded(call: Call, source: Tensor, shape: tuple[int, ...]) -> Tensor:
    """`source` repeated to `shape`, dense."""
    if source.model_shape == shape:
        return contiguous(call, source)
    made = call.temporary(source.name, source.dtype, shape)
    copy_strided(call, source, made, View.of(source).expand(shape).strides)
    return made


def masked_scatter(call: Call) -> None:
    """(input, mask, source, out): any type; elements of the source in their order where the mask is set."""
    output = call.output
    mask = _expanded(call, converted(call, call.tensor(1), DType.BOOL), output.model_shape)
    source = contiguous(call, call.tensor(2))
    base = _expanded(call, call.tensor(0), output.model_shape)
    params = MaskedScatterParams(
        elements=output.elements, available=source.elements, element_bytes=output.dtype.size
    )
    with contiguous_output(call, output) as written:
        call.emit("masked_scatter", "scatter", params, [base, mask, source], [written])


def copy_into(call: Call) -> None:
    """(input, source, non_blocking, out): the source, repeated to the input's size, in the input's type."""
    output = call.output
    source = converted(call, call.tensor(1), output.dtype)
    copy_strided(call, source, output, View.of(source).expand(output.model_shape).strides)


def select_scatter(call: Call) -> None:
    """(input, source, dim, index, out): the input with one entry of a dimension replaced."""
    output = call.output
    dimension = axis(call, output, call.integer(2))
    index = call.integer(3) % output.model_shape[dimension]
    _insert(call, View.of(output).select(dimension, index))


def slice_scatter(call: Call) -> None:
    """(input, source, dim, start, end, step, out): the input with a slice of a dimension replaced."""
    output = call.output
    dimension = axis(call, output, call.integer(2))
    start, end = (None if call.value(index) is None else call.integer(index) for index in (3, 4))
    places = range(output.model_shape[dimension])[slice(start, end, call.integer(5))]
    _insert(call, View.of(output).slice(dimension, places.start, len(places), places.step))


def diagonal_scatter(call: Call) -> None:
    """(input, source, offset, dim1, dim2, out): the input with a diagonal of two dimensions replaced."""
    output = call.output
    first, second = (axis(call, output, call.integer(index)) for index in (3, 4))
    _insert(call, View.of(output).diagonal(call.integer(2), first, second))


def as_strided_scatter(call: Call) -> None:
    """(input, source, size, stride, storage_offset, out): into the elements at these strides."""
    output = call.output
    if not call.is_contiguous(output):
        raise call.refuse(f"strides of a tensor in memory order {output.dim_order}")
    offset = 0 if call.value(4) is None else call.integer(4)
    _insert(call, View(call.integers(2), call.integers(3), offset))


def _insert(call: Call, view: View) -> None:
    """The input with the source in the place of what `view` shows of it. Strides are the output's."""
    output, size = call.output, call.output.dtype.size
    base = ordered(call, call.tensor(0), output.dim_order)
    source = contiguous(call, converted(call, call.tensor(1), output.dtype))
    if source.model_shape != view.shape:
        raise call.refuse(f"{source.model_shape} written to a place of {view.shape}")
    rows = merge(view.shape, [view.strides])
    run = rows.pop()[0] if rows and rows[-1][1] == 1 else 1
    if len(rows) > _RANK:
        raise call.refuse(f"writing to {len(rows)} dimensions apart, more than {_RANK}")
    params = InsertParams(
        bytes=output.nbytes,
        element_bytes=run * size if source.elements else 0,
        offset=view.offset * size,
        shape=padded((row[0] for row in rows), 1),
        strides=padded((row[1] * size for row in rows), 0),
    )
    call.emit("insert", "scatter", params, [base, source], [output])


SELECTORS: dict[str, Selector] = {
    "aten::scatter.src_out": scatter,
    "aten::scatter.value_out": scatter,
    "aten::scatter_add.out": scatter_add,
    "aten::scatter.reduce_out": scatter_with,
    "aten::scatter.value_reduce_out": scatter_with,
    "aten::scatter_reduce.two_out": scatter_reduce,
    "aten::index_reduce.out": index_reduce,
    "aten::index_put.out": index_put,
    "aten::masked_scatter.out": masked_scatter,
    "aten::copy.out": copy_into,
    "aten::select_scatter.out": select_scatter,
    "aten::slice_scatter.out": slice_scatter,
    "aten::diagonal_scatter.out": diagonal_scatter,
    "aten::as_strided_scatter.out": as_strided_scatter,
}
