"""Operators that read at positions held by a tensor, and those that pick the largest entries."""

from collections.abc import Sequence
from math import prod

import numpy as np

from mcu_build.plan.ir import DType, Params, Tensor
from mcu_build.plan.operators.layout import contiguous, contiguous_output, copy_strided, model_strides, padded
from mcu_build.plan.operators.portable_binary import emit_pair, scalar
from mcu_build.plan.operators.portable_movement import SUFFIX, axis, converted
from mcu_build.plan.select import Call, Selector

_RANK = 6
_TOPK = (DType.I8, DType.I16, DType.I32, DType.I64, DType.F32)


def embedding(call: Call) -> None:
    """(weight, indices, padding_idx, scale_grad_by_freq, sparse, out): a row of the weight for each index."""
    _take(call, contiguous(call, call.tensor(0)), 0, _index(call, call.tensor(1)), call.output)


def index_select(call: Call) -> None:
    """(input, dim, index, out): entries of one dimension."""
    source = call.tensor(0)
    _take(
        call,
        contiguous(call, source),
        axis(call, source, call.integer(1)),
        _index(call, call.tensor(2)),
        call.output,
    )


def _index(call: Call, index: Tensor) -> Tensor:
    if index.dtype not in (DType.I32, DType.I64):
        raise call.refuse(f"positions of type {index.dtype.numpy_name}")
    return contiguous(call, converted(call, index, DType.I64))


def _take(call: Call, source: Tensor, dimension: int, index: Tensor, output: Tensor, joined: int = 1) -> None:
    """Blocks of `source`, which is dense, at `index` along `joined` dimensions that count as one."""
    shape = source.model_shape
    params = Params(
        "TakeParams",
        {
            "outer": prod(shape[:dimension]),
            "size": prod(shape[dimension : dimension + joined]),
            "count": index.elements,
            "block_bytes": prod(shape[dimension + joined :]) * source.dtype.size,
        },
    )
    if source.dtype is not output.dtype:
        raise call.refuse(f"moving {source.dtype.numpy_name} to {output.dtype.numpy_name}")
    with contiguous_output(call, output) as written:
        call.emit("take", "gather", params, [source, index], [written])


def index_tensor(call: Call) -> None:
    """(input, indices, out): positions for some of the dimensions, broadcast together.

    Dimensions that do not stand together come first in the result, as in PyTorch.
    """
    source = call.tensor(0)
    given = call.optional_tensors(1)
    indexed = [dimension for dimension, index in enumerate(given) if index is not None]
    indices = [_index(call, index) for index in given if index is not None]
    if indexed != list(range(indexed[0], indexed[-1] + 1)):
        order = [*indexed, *(d for d in range(len(source.shape)) if d not in indexed)]
        strides = model_strides(source)
        moved = call.temporary(source.name, source.dtype, [source.model_shape[d] for d in order])
        copy_strided(call, source, moved, [strides[d] for d in order])
        source, indexed = moved, list(range(len(indexed)))
    source = contiguous(call, source)
    sizes = source.model_shape[indexed[0] : indexed[-1] + 1]
    _take(call, source, indexed[0], _joined(call, indices, sizes), call.output, len(indexed))


def _joined(call: Call, indices: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
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
    index = _index(call, call.tensor(2))
    if source.dtype is not output.dtype or len(output.shape) > _RANK:
        raise call.refuse(f"gathering {source.dtype.numpy_name} {output.model_shape}")
    dimension = axis(call, source, call.integer(1))
    size = source.dtype.size
    strides = [stride * size for stride in model_strides(source)]
    others = [0 if d == dimension else stride for d, stride in enumerate(strides)]
    params = Params(
        "GatherParams",
        {
            "element_bytes": size,
            "shape": padded(output.model_shape, 1),
            "strides": padded(others, 0),
            "size": source.model_shape[dimension] if strides else 1,
            "stride": strides[dimension] if strides else 0,
        },
    )
    with contiguous_output(call, output) as written:
        call.emit("gather", "gather", params, [source, index], [written])


def topk(call: Call) -> None:
    """(input, k, dim, largest, sorted, values, indices): float32 or signed integers, always sorted."""
    values, indices = call.outputs(2)
    source = call.tensor(0)
    if source.dtype not in _TOPK:
        raise call.refuse(f"no kernel for {source.dtype.numpy_name}")
    if not (call.is_contiguous(values) and call.is_contiguous(indices)):
        raise call.refuse(f"results in memory order {values.dim_order}")
    dimension = axis(call, source, call.integer(2))
    shape = source.model_shape
    params = Params(
        "TopkParams",
        {
            "outer": prod(shape[:dimension]),
            "size": shape[dimension],
            "inner": prod(shape[dimension + 1 :]),
            "count": call.integer(1),
            "largest": bool(call.integer(3)),
        },
    )
    call.emit(f"topk_{SUFFIX[source.dtype]}", "topk", params, [contiguous(call, source)], [values, indices])


SELECTORS: dict[str, Selector] = {
    "aten::embedding.out": embedding,
    "aten::index_select.out": index_select,
    "aten::index.Tensor_out": index_tensor,
    "aten::gather.out": gather,
    "aten::topk.values": topk,
}
