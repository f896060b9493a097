"""Order of memory: transposes, padding, and the helpers that bring operands into the order a kernel needs."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod

import numpy as np

from mcu_build.ir.calls.moves import Pad, PadParams, Permute, PermuteParams
from mcu_build.ir.calls.struct import Broadcast, ImageSize, OutputEpilogue, Pair, Window
from mcu_build.ir.tensor import DType, Tensor
from mcu_build.plan.select import Call, Selector

# The rank that strided kernels take, after dimensions that stay together are merged.
_RANK = 6


def reorder(call: Call, source: Tensor, output: Tensor, perm: Sequence[int] | None = None) -> None:
    """Let `output` hold the elements of `source` with its dimensions permuted, in the order of its memory.

    `perm` is in dimensions of the model: output dimension i is source dimension perm[i]; None leaves them
    as they are, so that only the memory layout differs. Where no byte moves, `output` becomes an alias of
    `source` and nothing is executed.
    """
    rank = len(source.shape)
    perm = tuple(range(rank)) if perm is None else tuple(dimension % rank for dimension in perm)
    if source.dtype is not output.dtype:
        raise call.refuse(f"reordering {source.dtype.numpy_name} as {output.dtype.numpy_name}")
    if output.model_shape != tuple(source.model_shape[dimension] for dimension in perm):
        raise call.refuse(f"permuting {source.model_shape} by {perm} does not give {output.model_shape}")
    strides = model_strides(source)
    copy_strided(call, source, output, [strides[dimension] for dimension in perm])


def copy_strided(call: Call, source: Tensor, output: Tensor, strides: Sequence[int], offset: int = 0) -> None:
    """Let `output` hold elements of `source`: along dimension i of the model, `strides[i]` elements apart.

    The first is element `offset` of the memory of `source`; strides may be 0 or negative. Where the elements
    lie together in the order of the output's memory, `output` becomes an alias and nothing is executed.
    """
    _copy(call, source, output, output.shape, [strides[dimension] for dimension in output.dim_order], offset)


def _copy(
    call: Call,
    source: Tensor,
    output: Tensor,
    shape: Sequence[int],
    strides: Sequence[int],
    offset: int = 0,
) -> None:
    """`copy_strided` for the dimensions of the output's memory, whose sizes are `shape`."""
    size = source.dtype.size
    merged = merge(shape, [strides])
    if not output.elements or not merged or (len(merged) == 1 and merged[0][1] == 1):
        call.alias(output, source, offset * size if output.elements else 0)
        return
    if len(merged) > _RANK + (merged[-1][1] == 1) and not offset and _is_permutation(merged):
        _copy_in_two(call, source, output, merged)
        return
    run = merged.pop()[0] if merged[-1][1] == 1 else 1
    if len(merged) > _RANK:
        raise call.refuse(f"the copy has {len(merged)} dimensions that move, more than {_RANK}")
    if offset:
        start = call.temporary(source.name, source.dtype, ())
        call.alias(start, source, offset * size)
        source = start
    params = PermuteParams(
        element_bytes=run * size,
        shape=padded((row[0] for row in merged), 1),
        strides=padded((row[1] * size for row in merged), 0),
    )
    call.append(Permute(params, source.id, output.id))


def _is_permutation(rows: Sequence[Sequence[int]]) -> bool:
    """Whether dimensions of these sizes and strides are all of a dense tensor."""
    expected = 1
    for size, stride in sorted(rows, key=lambda row: row[1]):
        if stride != expected:
            return False
        expected *= size
    return True


def _copy_in_two(call: Call, source: Tensor, output: Tensor, rows: Sequence[Sequence[int]]) -> None:
    """Bring the first dimension that is not in its place there, and go on from that."""
    order = sorted(range(len(rows)), key=lambda index: -rows[index][1])
    first = next(index for index, place in enumerate(order) if index != place)
    between = [*range(first + 1), *(index for index in order if index > first)]
    shape = [rows[index][0] for index in between]
    made = call.temporary(source.name, source.dtype, shape)
    _copy(call, source, made, shape, [rows[index][1] for index in between])
    dense = {index: prod(shape[place + 1 :]) for place, index in enumerate(between)}
    _copy(call, made, output, [row[0] for row in rows], [dense[index] for index in range(len(rows))])


def reshape(call: Call, source: Tensor, output: Tensor) -> None:
    """Let `output` hold the elements of `source`, counted in the order of the model, under another shape."""
    if _wide_order(source) == _wide_order(output):
        call.alias(output, source)
        return
    shape = output.model_shape
    dense = [prod(shape[dimension + 1 :]) for dimension in range(len(shape))]
    copy_strided(call, contiguous(call, source), output, dense)


def _wide_order(tensor: Tensor) -> list[tuple[int, int]]:
    """Which dimension of the model, and how large, each dimension of memory is, sizes of 1 left out."""
    wide = [dimension for dimension, size in enumerate(tensor.model_shape) if size != 1]
    return [(wide.index(d), tensor.model_shape[d]) for d in tensor.dim_order if d in wide]


def ordered(call: Call, tensor: Tensor, dim_order: Sequence[int]) -> Tensor:
    """`tensor` with its memory in `dim_order` (dimensions of the model, outermost first).

    Itself where memory is in that order (sizes of 1 may stand anywhere), a permuted constant where it is a
    constant, else a temporary that a step fills.
    """
    shape = tensor.model_shape
    target = replace(tensor, shape=tuple(shape[d] for d in dim_order), dim_order=tuple(dim_order))
    if call.same_order(tensor, target):
        return target
    if tensor.data is not None:
        memory = np.frombuffer(tensor.data, tensor.dtype.numpy_name).reshape(tensor.shape)
        data = memory.transpose([tensor.dim_order.index(d) for d in dim_order]).tobytes()
        made = call.constant(tensor.name, tensor.dtype, target.shape, data)
    else:
        made = call.temporary(tensor.name, tensor.dtype, target.shape)
    made = replace(made, dim_order=target.dim_order)
    if tensor.data is None:
        reorder(call, tensor, made)
    return made


def contiguous(call: Call, tensor: Tensor) -> Tensor:
    """`tensor` with its memory in the order of the model's dimensions."""
    return ordered(call, tensor, range(len(tensor.shape)))


@contextmanager
def contiguous_output(call: Call, output: Tensor | None = None) -> Iterator[Tensor]:
    """The tensor for a kernel to write an output to, in the order of the model's dimensions.

    The output itself (the call's only one where none is given), or a temporary that is reordered into it at
    the end of the block.
    """
    output = output or call.output
    if call.is_contiguous(output):
        yield output
        return
    written = call.temporary(output.name, output.dtype, output.model_shape)
    yield written
    reorder(call, written, output)


# (n, h, w, c)
ImageSizes = tuple[int, int, int, int]


def image(call: Call, tensor: Tensor) -> tuple[Tensor, ImageSizes]:
    """A 4-D operand of an image operator with its memory as (n, h, w, c), and these four sizes.

    Operators named `..._nhwc` have their dimensions in that order, the others are NCHW.
    """
    if len(tensor.shape) != 4:
        raise call.refuse(f"{tensor.name} has {len(tensor.shape)} dimensions, not 4")
    order = _image_order(call)
    n, h, w, c = (tensor.model_shape[dimension] for dimension in order)
    return ordered(call, tensor, order), (n, h, w, c)


def image_output(call: Call) -> tuple[Tensor, ImageSizes]:
    """The output of an image operator, whose memory has to be (n, h, w, c), and these sizes."""
    output = call.output
    explicit = _image_order(call) == (0, 1, 2, 3)
    if explicit and not call.is_contiguous(output):
        raise call.refuse(f"the output has its memory in the order {output.dim_order}")
    n, h, w, c = output.model_shape if explicit else call.nhwc(output)
    return output, (n, h, w, c)


def _image_order(call: Call) -> tuple[int, int, int, int]:
    """The model's dimensions that are n, h, w, c for this operator."""
    return (0, 1, 2, 3) if call.operator.endswith("_nhwc.out") else (0, 2, 3, 1)


def image_size(sizes: ImageSizes) -> ImageSize:
    """Height, width and channels."""
    return ImageSize(*sizes[1:])


def window(
    size: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> Window:
    """Each argument is (vertical, horizontal)."""
    return Window(*map(Pair.of, (size, stride, padding, dilation)))


def broadcast(call: Call, first: Tensor, second: Tensor, output: Tensor) -> Broadcast:
    """The iteration space of a kernel over pairs of elements, in the order of the output's memory.

    Operands of any memory layout; their sizes broadcast to the output's as in NumPy.
    """
    expanded = [expanded_strides(call, tensor, output) for tensor in (first, second)]
    merged = merge(output.shape, expanded)
    if len(merged) > _RANK:
        raise call.refuse(f"broadcasting over {len(merged)} dimensions, more than {_RANK}")
    return Broadcast(
        shape=padded((row[0] for row in merged), 1),
        first=padded((row[1] for row in merged), 0),
        second=padded((row[2] for row in merged), 0),
    )


def expanded_strides(call: Call, tensor: Tensor, output: Tensor) -> list[int]:
    """Strides of `tensor` for each dimension of the output's memory, 0 where it is repeated."""
    missing = len(output.shape) - len(tensor.shape)
    shape = (1,) * max(missing, 0) + tensor.model_shape
    fits = missing >= 0 and all(a in (1, b) for a, b in zip(shape, output.model_shape, strict=True))
    if not fits:
        raise call.refuse(f"{tensor.model_shape} does not broadcast to {output.model_shape}")
    strides = (0,) * missing + model_strides(tensor)
    return [strides[d] if shape[d] != 1 else 0 for d in output.dim_order]


def model_strides(tensor: Tensor) -> tuple[int, ...]:
    """Distance in memory, in elements, between neighbours along each of the model's dimensions."""
    strides = [0] * len(tensor.shape)
    for position, dimension in enumerate(tensor.dim_order):
        strides[dimension] = prod(tensor.shape[position + 1 :])
    return tuple(strides)


def merge(shape: Sequence[int], strides: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Rows (size, stride of each operand), outermost first, with neighbours that all operands cross as one
    made one and sizes of 1 left out. Empty for a single element.
    """
    rows: list[tuple[int, ...]] = []
    for size, *steps in zip(shape, *strides, strict=True):
        if size == 1:
            continue
        if rows and all(outer == size * step for outer, step in zip(rows[-1][1:], steps, strict=True)):
            rows[-1] = (rows[-1][0] * size, *steps)
        else:
            rows.append((size, *steps))
    return rows


def padded(values: Iterable[int], filler: int, rank: int = _RANK) -> tuple[int, ...]:
    """`rank` values, `filler` in front."""
    sizes = tuple(values)
    return (filler,) * (rank - len(sizes)) + sizes


def output_epilogue(call: Call, zero_point: int, low: int, high: int) -> OutputEpilogue:
    """From the indices of three arguments."""
    return OutputEpilogue(call.integer(zero_point), call.integer(low), call.integer(high))


def transpose(call: Call) -> None:
    """(input, perm, out): output dimension i is input dimension perm[i]."""
    reorder(call, call.tensor(0), call.output, call.integers(1))


_PAD_BITS = {DType.I8: 8, DType.U8: 8, DType.I16: 16, DType.I32: 32, DType.F32: 32}


def pad(call: Call) -> None:
    """(input, pre_pad, post_pad, value, out): padding, four sizes each, the last for the last dimension.

    They are in memory order as the exporter saw it; what it took for channels-last is repeated here.
    """
    source, output = call.tensor(0), call.output
    rank = len(source.shape)
    if not 1 <= rank <= 4:
        raise call.refuse(f"padding {rank} dimensions, not 1 to 4")
    bits = _PAD_BITS.get(source.dtype)
    if bits is None or source.dtype is not output.dtype:
        raise call.refuse(f"padding {source.dtype.numpy_name} into {output.dtype.numpy_name}")
    before, after = (_model_order(source, call.integers(index)) for index in (1, 2))
    grown = tuple(a + b + c for a, b, c in zip(source.model_shape, before, after, strict=True))
    if grown != output.model_shape:
        raise call.refuse(f"padding {source.model_shape} gives {grown}, not {output.model_shape}")
    strides = model_strides(source)
    order = output.dim_order
    params = PadParams(
        shape=padded(output.shape, 1, 4),
        inside=padded((source.model_shape[d] for d in order), 1, 4),
        strides=padded((strides[d] for d in order), 0, 4),
        before=padded((before[d] for d in order), 0, 4),
        value=_bits(source.dtype, call.integer(3)),
    )
    call.append(Pad(params, source.id, output.id, bits))


def _bits(dtype: DType, value: int) -> int:
    """The element `value` of `dtype` as the integer that has its bits."""
    if dtype is DType.F32:
        return int(np.float32(value).view(np.int32))
    return value


def _model_order(tensor: Tensor, sizes: Sequence[int]) -> tuple[int, ...]:
    """Four sizes in the exporter's memory layout → one for each of the model's dimensions."""
    shape = tensor.model_shape
    if len(shape) < 4:
        return tuple(sizes[4 - len(shape) :])
    # As is_channels_last() in the exporter's passes_utils.py: the ambiguous shapes count as channels-last.
    channels_last = shape[1] == 1 or shape[2] == shape[3] == 1 or tensor.dim_order[:2] == (0, 2)
    return tuple(sizes[position] for position in ((0, 3, 1, 2) if channels_last else range(4)))


SELECTORS: dict[str, Selector] = {
    "cortex_m::transpose.out": transpose,
    "cortex_m::pad.out": pad,
}
