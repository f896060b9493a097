"""Operators that read at positions held by a tensor, and those that sort entries or pick the largest.

Of equal entries the one that stands first comes first, in either direction; a NaN is larger than everything.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_build.ir.calls.portable import EmbeddingBagParams, GatherParams, SortParams, TakeParams, TopkParams
from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.tensor import DType, Tensor
from mcu_build.plan.operators.layout import contiguous, contiguous_output, copy_strided, model_strides, padded
from mcu_build.plan.operators.portable_binary import emit_pair, scalar
from mcu_build.plan.operators.portable_movement import SUFFIX, axis, convert, converted
from mcu_build.plan.select import Call, Selector

_RANK = 6


def embedding(call: Call) -> None:
    """(weight, indices, padding_idx, scale_grad_by_freq, sparse, out): a row of the weight for each index."""
    _take(call, contiguous(call, call.tensor(0)), 0, positions(call, call.tensor(1)), call.output)


def index_select(call: Call) -> None:
    """(input, dim, index, out): entries of one dimension."""
    source = call.tensor(0)
    _take(
        call,
        contiguous(call, source),
        axis(call, source, call.integer(1)),
        positions(call, call.tensor(2)),
        call.output,
    )


def positions(call: Call, index: Tensor) -> Tensor:
    """A tensor of positions as the kernels read it: int64, dense."""
    if index.dtype not in (DType.I32, DType.I64):
        raise call.refuse(f"positions of type {index.dtype.numpy_name}")
    return contiguous(call, converted(call, index, DType.I64))


def _take(call: Call, source: Tensor, dimension: int, index: Tensor, output: Tensor, joined: int = 1) -> None:
    """Blocks of `source`, which is dense, at `index` along `joined` dimensions that count as one."""
    shape = source.model_shape
    params = TakeParams(
        outer=prod(shape[:dimension]),
        size=prod(shape[dimension : dimension + joined]),
        count=index.elements,
        block_bytes=prod(shape[dimension + joined :]) * source.dtype.size,
    )
    if source.dtype is not output.dtype:
        raise call.refuse(f"moving {source.dtype.numpy_name} to {output.dtype.numpy_name}")
    with contiguous_output(call, output) as written:
        call.emit("take", "gather", params, [source, index], [written], moves=True)


def index_tensor(call: Call) -> None:
    """(input, indices, out): positions for some of the dimensions, broadcast together.

    Dimensions that do not stand together come first in the result, as in PyTorch.
    """
    source = call.tensor(0)
    entries = call.optional_tensors(1)
    indexed = [dimension for dimension, index in enumerate(entries) if index is not None]
    indices = [positions(call, index) for index in entries if index is not None]
    if indexed != list(range(indexed[0], indexed[-1] + 1)):
        order = [*indexed, *(d for d in range(len(source.shape)) if d not in indexed)]
        strides = model_strides(source)
        moved = call.temporary(source.name, source.dtype, [source.model_shape[d] for d in order])
        copy_strided(call, source, moved, [strides[d] for d in order])
        source, indexed = moved, list(range(len(indexed)))
    source = contiguous(call, source)
    sizes = source.model_shape[indexed[0] : indexed[-1] + 1]
    _take(call, source, indexed[0], joined(call, indices, sizes), call.output, len(indexed))


def joined(call: Call, indices: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    """One position in the dimensions of `sizes` taken as one, from a position in each."""
    if len(indices) == 1:
        return indices[0]
    shape = np.broadcast_shapes(*(index.model_shape for index in indices))
    sum_of: Tensor | None = None
    for number, (index, size) in enumerate(zip(indices, sizes, strict=True)):
        # The remainder counts negative positions from the end.
        wrapped = call.temporary("index", DType.I64, index.shape)
        emit_pair(call, "remainder", index, scalar(call, size, DType.I64), wrapped)
        step = prod(sizes[number + 1 :])
        scaled = call.temporary("index", DType.I64, index.shape)
        emit_pair(call, "mul", wrapped, scalar(call, step, DType.I64), scaled)
        if sum_of is None:
            sum_of = scaled
            continue
        total = call.temporary("index", DType.I64, shape)
        emit_pair(call, "add", sum_of, scaled, total)
        sum_of = total
    assert sum_of is not None
    return sum_of


def gather(call: Call) -> None:
    """(input, dim, index, sparse_grad, out): at each position, the entry that the index names along dim."""
    source, output = call.tensor(0), call.output
    index = positions(call, call.tensor(2))
    if source.dtype is not output.dtype or len(output.shape) > _RANK:
        raise call.refuse(f"gathering {source.dtype.numpy_name} {output.model_shape}")
    dimension = axis(call, source, call.integer(1))
    size = source.dtype.size
    strides = [stride * size for stride in model_strides(source)]
    others = [0 if d == dimension else stride for d, stride in enumerate(strides)]
    params = GatherParams(
        element_bytes=size,
        shape=padded(output.model_shape, 1),
        strides=padded(others, 0),
        size=source.model_shape[dimension] if strides else 1,
        stride=strides[dimension] if strides else 0,
    )
    with contiguous_output(call, output) as written:
        call.emit("gather", "gather", params, [source, index], [written], moves=True)


def _padded(name: str, inside: Callable[[NDArray[Any], int], NDArray[Any]]) -> Selector:
    def padded_with(call: Call) -> None:
        """(input, padding, out): any type; the last dimension's entries before and after come first."""
        source, output = call.tensor(0), call.output
        sizes = call.integers(1)
        steps = [
            (len(source.shape) - 1 - number, before, after)
            for number, (before, after) in enumerate(zip(sizes[::2], sizes[1::2], strict=True))
            if before or after
        ]
        if not steps:
            copy_strided(call, source, output, model_strides(source))
        for dimension, before, after in steps:
            size = source.model_shape[dimension]
            places = inside(np.arange(-before, size + after), size)
            if not ((places >= 0) & (places < size)).all():
                raise call.refuse(f"{name} of {before} and {after} entries to {size}")
            index = call.constant("index", DType.I64, places.shape, places.astype(np.int64).tobytes())
            last = dimension == steps[-1][0]
            shape = list(source.model_shape)
            shape[dimension] = len(places)
            made = output if last else call.temporary(source.name, source.dtype, shape)
            _take(call, contiguous(call, source), dimension, index, made)
            source = made

    return padded_with


def embedding_bag(call: Call) -> None:
    """(weight, indices, offsets, scale_grad_by_freq, mode, sparse, per_sample_weights, ...): float32."""
    output, *others = call.outputs(4)
    if any(call.is_used(other) for other in others):
        raise call.refuse("the sizes of its bags are used: no kernel hands them out")
    weight, factors = call.tensor(0), call.optional_tensor(6)
    if weight.dtype is not DType.F32:
        raise call.refuse(f"no kernel for {weight.dtype.numpy_name}")
    index, offsets = positions(call, call.tensor(1)), positions(call, call.tensor(2))
    mode = ("sum", "mean", "max")[call.integer(4)]
    params = EmbeddingBagParams(
        bags=output.model_shape[0],
        count=index.elements,
        rows=weight.model_shape[0],
        size=weight.model_shape[1],
        padding=call.integer(8),
    )
    reads = [contiguous(call, weight), index, offsets, *([factors] if mode == "sum" else [])]
    with contiguous_output(call, output) as written:
        call.emit(f"bag_{mode}_f32", "embedding_bag", params, reads, [written])


def topk(call: Call) -> None:
    """(input, k, dim, largest, sorted, values, indices): float32 or integers, always sorted."""
    count, largest = call.integer(1), bool(call.integer(3))
    _ranked(call, "topk", call.integer(2), lambda line: TopkParams(*line, count, largest))


def sort(call: Call) -> None:
    """(input, dim, descending, values, indices): float32, integers or bool; stable."""
    _sorted(call, call.integer(1), bool(call.integer(2)))


def sort_stable(call: Call) -> None:
    """(input, stable, dim, descending, values, indices): float32, integers or bool; stable in any case."""
    _sorted(call, call.integer(2), bool(call.integer(3)))


def _sorted(call: Call, dimension: int, descending: bool) -> None:
    _ranked(call, "sort", dimension, lambda line: SortParams(*line, descending))


def _ranked(call: Call, name: str, dimension: int, params: Callable[[tuple[int, int, int]], Struct]) -> None:
    """Values along a dimension in their order, and where they stood.

    `params` are those for elements outside, along and inside the dimension.
    """
    values, indices = call.outputs(2)
    narrow = {DType.BOOL: DType.I8, DType.U8: DType.I16}
    source = call.tensor(0)
    dtype = narrow.get(source.dtype, source.dtype)
    source = contiguous(call, converted(call, source, dtype))
    shape = source.model_shape or (1,)
    place = axis(call, source, dimension)
    line = (prod(shape[:place]), shape[place], prod(shape[place + 1 :]))
    with contiguous_output(call, values) as sorted_values, contiguous_output(call, indices) as written:
        ranked = sorted_values
        if dtype is not values.dtype:
            ranked = call.temporary(values.name, dtype, values.model_shape)
        call.emit(f"{name}_{SUFFIX[dtype]}", name, params(line), [source], [ranked, written])
        if ranked is not sorted_values:
            convert(call, ranked, sorted_values)


SELECTORS: dict[str, Selector] = {
    "aten::embedding.out": embedding,
    "aten::index_select.out": index_select,
    "aten::index.Tensor_out": index_tensor,
    "aten::gather.out": gather,
    "aten::_embedding_bag.out": embedding_bag,
    "aten::_embedding_bag_forward_only.out": embedding_bag,
    **{
        f"aten::{name}_pad{spatial}d.out": _padded(name, inside)
        for name, inside in (
            ("reflection", lambda at, size: size - 1 - abs(size - 1 - abs(at))),
            ("replication", lambda at, size: at.clip(0, size - 1)),
        )
        for spatial in (1, 2, 3)
    },
    "aten::topk.values": topk,
    "aten::sort.values": sort,
    "aten::sort.values_stable": sort_stable,
}
