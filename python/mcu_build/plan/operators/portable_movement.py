"""Operators that move elements and compute nothing: views, slices, joins, repeats, changes of type.

Each is a strided read of its input (`layout.copy_strided`), which executes nothing where the elements lie
together already. Every element type; dimensions may count from the end, as in PyTorch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from mcu_build.ir.calls.moves import Concat, ConcatParams
from mcu_build.ir.calls.portable import ConvertParams
from mcu_build.ir.tensor import DType, Tensor
from mcu_build.plan.operators.layout import contiguous, copy_strided, model_strides, ordered, reshape
from mcu_build.plan.select import Call, Selector

SUFFIX = {
    DType.BOOL: "bool",
    DType.U8: "u8",
    DType.I8: "s8",
    DType.I16: "s16",
    DType.I32: "s32",
    DType.I64: "s64",
    DType.F32: "f32",
}
# A slice without an end is recorded as the largest int64.
_SLICE_END = (1 << 63) - 1


@dataclass(frozen=True)
class View:
    """Elements of a tensor's memory as an operator sees them: a size and a stride for each dimension."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @staticmethod
    def of(tensor: Tensor) -> "View":
        """All of a tensor."""
        return View(tensor.model_shape, model_strides(tensor))

    def slice(self, dimension: int, start: int, count: int, step: int = 1) -> "View":
        """Every `step`-th entry of a dimension, `count` of them from `start`."""
        shape, strides = list(self.shape), list(self.strides)
        offset = self.offset + start * strides[dimension]
        shape[dimension] = count
        strides[dimension] *= step
        return View(tuple(shape), tuple(strides), offset)

    def select(self, dimension: int, index: int) -> "View":
        """One entry of a dimension, which goes."""
        cut = self.slice(dimension, index, 1)
        return View(
            cut.shape[:dimension] + cut.shape[dimension + 1 :],
            cut.strides[:dimension] + cut.strides[dimension + 1 :],
            cut.offset,
        )

    def diagonal(self, offset: int, first: int, second: int) -> "View":
        """Entries whose position in `second` is `offset` more than in `first`, as a last dimension."""
        row, column = max(-offset, 0), max(offset, 0)
        count = max(min(self.shape[first] - row, self.shape[second] - column), 0)
        kept = [d for d in range(len(self.shape)) if d not in (first, second)]
        return View(
            (*(self.shape[d] for d in kept), count),
            (*(self.strides[d] for d in kept), self.strides[first] + self.strides[second]),
            self.offset + row * self.strides[first] + column * self.strides[second] if count else 0,
        )

    def unfold(self, dimension: int, size: int, step: int) -> "View":
        """Windows of a dimension, `size` long and `step` apart, their entries as a last dimension."""
        cut = self.slice(dimension, 0, (self.shape[dimension] - size) // step + 1, step)
        return View((*cut.shape, size), (*cut.strides, self.strides[dimension]), cut.offset)

    def expand(self, shape: Sequence[int]) -> "View":
        """Sizes of 1 repeated to those of `shape`; dimensions missing in front are added."""
        missing = len(shape) - len(self.shape)
        old, strides = (1,) * missing + self.shape, (0,) * missing + self.strides
        repeated = tuple(s if a == b else 0 for a, b, s in zip(old, shape, strides, strict=True))
        return View(tuple(shape), repeated, self.offset)


def copy_view(call: Call, source: Tensor, view: View, output: Tensor) -> None:
    """Let `output` hold what `view` shows of `source`."""
    if source.dtype is not output.dtype:
        raise call.refuse(f"moving {source.dtype.numpy_name} to {output.dtype.numpy_name}")
    if view.shape != output.model_shape:
        raise call.refuse(f"the result has shape {view.shape}, the program says {output.model_shape}")
    copy_strided(call, source, output, view.strides, view.offset)


def axis(call: Call, tensor: Tensor, dimension: int, extra: int = 0) -> int:
    """`dimension` counted from the front; `extra` is 1 where the operator adds a dimension."""
    rank = len(tensor.shape) + extra
    if not -max(rank, 1) <= dimension < max(rank, 1):
        raise call.refuse(f"there is no dimension {dimension} in {tensor.model_shape}")
    return dimension % max(rank, 1)


def converted(call: Call, source: Tensor, dtype: DType) -> Tensor:
    """`source` as another type, in the same memory layout: itself, a constant, or a temporary
    that a step fills."""
    if source.dtype is dtype:
        return source
    if source.data is not None and source.dtype is not DType.F32:
        values = np.frombuffer(source.data, source.dtype.numpy_name).astype(dtype.numpy_name)
        made = call.constant(source.name, dtype, source.shape, values.tobytes())
        return replace(made, dim_order=source.dim_order)
    made = replace(call.temporary(source.name, dtype, source.shape), dim_order=source.dim_order)
    convert(call, source, made)
    return made


def convert(call: Call, source: Tensor, output: Tensor) -> None:
    """One step that changes the type of every element; both have one memory layout."""
    kernel = f"convert_{SUFFIX[source.dtype]}_{SUFFIX[output.dtype]}"
    call.emit(kernel, "convert", ConvertParams(count=source.elements), [source], [output])


def view_copy(call: Call) -> None:
    """(input, size or dimensions ..., out): the elements in the model's order, under another shape."""
    source, output = call.tensor(0), call.output
    if source.elements != output.elements:
        raise call.refuse(f"{source.model_shape} and {output.model_shape} hold different numbers of elements")
    if source.dtype is not output.dtype:
        raise call.refuse(f"moving {source.dtype.numpy_name} to {output.dtype.numpy_name}")
    reshape(call, source, output)


def copy(call: Call) -> None:
    """(input, ..., out): the same elements in the type and the memory layout of the output."""
    source, output = call.tensor(0), call.output
    if source.dtype is output.dtype:
        copy_view(call, source, View.of(source), output)
        return
    aligned = ordered(call, source, output.dim_order)
    convert(call, aligned, output)


def permute_copy(call: Call) -> None:
    """(input, dims, out): output dimension i is input dimension dims[i]."""
    _permuted(call, [axis(call, call.tensor(0), d) for d in call.integers(1)])


def transpose_copy(call: Call) -> None:
    """(input, dim0, dim1, out): two dimensions change places."""
    source = call.tensor(0)
    order = list(range(len(source.shape)))
    first, second = (axis(call, source, call.integer(index)) for index in (1, 2))
    if order:
        order[first], order[second] = order[second], order[first]
    _permuted(call, order)


def t_copy(call: Call) -> None:
    """(input, out): a matrix transposed; a vector stays as it is."""
    _permuted(call, list(reversed(range(len(call.tensor(0).shape)))))


def _permuted(call: Call, order: Sequence[int]) -> None:
    view = View.of(call.tensor(0))
    permuted = View(tuple(view.shape[d] for d in order), tuple(view.strides[d] for d in order))
    copy_view(call, call.tensor(0), permuted, call.output)


def slice_copy(call: Call) -> None:
    """(input, dim, start, end, step, out): every step-th entry of a dimension from start up to end."""
    source = call.tensor(0)
    dimension = axis(call, source, call.integer(1))
    size = source.model_shape[dimension]
    start = 0 if call.value(2) is None else call.integer(2)
    end = _SLICE_END if call.value(3) is None else call.integer(3)
    positions = range(size)[slice(start, end, call.integer(4))]
    view = View.of(source).slice(dimension, positions.start, len(positions), positions.step)
    copy_view(call, source, view, call.output)


def narrow_copy(call: Call) -> None:
    """(input, dim, start, length, out): `length` entries of a dimension."""
    source = call.tensor(0)
    dimension = axis(call, source, call.integer(1))
    start = call.integer(2) % source.model_shape[dimension]
    copy_view(call, source, View.of(source).slice(dimension, start, call.integer(3)), call.output)


def select_copy(call: Call) -> None:
    """(input, dim, index, out): one entry of a dimension."""
    source = call.tensor(0)
    dimension = axis(call, source, call.integer(1))
    index = call.integer(2) % source.model_shape[dimension]
    copy_view(call, source, View.of(source).select(dimension, index), call.output)


def split_copy(call: Call) -> None:
    """(input, split_size, dim, outs) or (input, split_sizes, dim, outs): a dimension cut into parts."""
    source = call.tensor(0)
    dimension = axis(call, source, call.integer(2))
    start = 0
    for output in call.output_list:
        count = output.model_shape[dimension]
        copy_view(call, source, View.of(source).slice(dimension, start, count), output)
        start += count


def unbind_copy(call: Call) -> None:
    """(input, dim, outs): the entries of a dimension, one output each."""
    source = call.tensor(0)
    dimension = axis(call, source, call.integer(1))
    for index, output in enumerate(call.output_list):
        copy_view(call, source, View.of(source).select(dimension, index), output)


def expand_copy(call: Call) -> None:
    """(input, size, implicit, out): sizes of 1 repeated."""
    source, output = call.tensor(0), call.output
    copy_view(call, source, View.of(source).expand(output.model_shape), output)


def repeat(call: Call) -> None:
    """(input, repeats, out): the whole tensor, repeats[i] times along dimension i."""
    source, output = call.tensor(0), call.output
    view = View.of(source)
    repeats = call.integers(1)
    missing = len(repeats) - len(view.shape)
    shape, strides = (1,) * missing + view.shape, (0,) * missing + view.strides
    if output.model_shape != tuple(count * size for count, size in zip(repeats, shape, strict=True)):
        raise call.refuse(f"repeating {source.model_shape} {repeats} times gives not {output.model_shape}")
    # Each dimension of memory becomes two: which copy, and where in it.
    tall = call.temporary(
        "repeat", output.dtype, [n for d in output.dim_order for n in (repeats[d], shape[d])]
    )
    copy_strided(call, source, tall, [s for d in output.dim_order for s in (0, strides[d])])
    call.alias(output, tall)


def flip(call: Call) -> None:
    """(input, dims, out): the order of some dimensions reversed."""
    source = call.tensor(0)
    view = View.of(source)
    for dimension in {axis(call, source, d) for d in call.integers(1)}:
        view = view.slice(dimension, source.model_shape[dimension] - 1, source.model_shape[dimension], -1)
    copy_view(call, source, view, call.output)


def diagonal_copy(call: Call) -> None:
    """(input, offset, dim1, dim2, out): a diagonal of two dimensions, as the last one."""
    source = call.tensor(0)
    first, second = (axis(call, source, call.integer(index)) for index in (2, 3))
    copy_view(call, source, View.of(source).diagonal(call.integer(1), first, second), call.output)


def unfold_copy(call: Call) -> None:
    """(input, dimension, size, step, out): windows of a dimension, their entries as a last dimension."""
    source = call.tensor(0)
    if not source.shape:
        view_copy(call)
        return
    dimension = axis(call, source, call.integer(1))
    copy_view(call, source, View.of(source).unfold(dimension, call.integer(2), call.integer(3)), call.output)


def as_strided_copy(call: Call) -> None:
    """(input, size, stride, storage_offset, out): the elements at these strides of a contiguous tensor."""
    source = contiguous(call, call.tensor(0))
    sizes, strides = call.integers(1), call.integers(2)
    offset = 0 if call.value(3) is None else call.integer(3)
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if prod(sizes) and last >= source.elements:
        raise call.refuse(f"element {last} of {source.elements}")
    copy_view(call, source, View(sizes, strides, offset), call.output)


def roll(call: Call) -> None:
    """(input, shifts, dims, out): entries moved along dimensions, those that leave at one end come in at
    the other; over all elements where no dimensions are given.
    """
    source, output = call.tensor(0), call.output
    shifts, dimensions = call.integers(1), call.integers(2)
    if not dimensions:
        flat = call.temporary(source.name, source.dtype, (source.elements,))
        call.alias(flat, contiguous(call, source))
        rolled = call.temporary(source.name, source.dtype, flat.shape)
        _roll(call, flat, 0, shifts[0], rolled)
        whole = call.temporary(source.name, source.dtype, source.model_shape)
        call.alias(whole, rolled)
        copy_view(call, whole, View.of(whole), output)
        return
    for number, (shift, dimension) in enumerate(zip(shifts, dimensions, strict=True)):
        last = number == len(shifts) - 1
        made = replace(call.temporary(source.name, source.dtype, output.shape), dim_order=output.dim_order)
        _roll(call, source, axis(call, source, dimension), shift, output if last else made)
        source = made


def _roll(call: Call, source: Tensor, dimension: int, shift: int, output: Tensor) -> None:
    size = source.model_shape[dimension]
    start = -shift % size if size else 0
    parts = []
    for first, count in ((start, size - start), (0, start)):
        view = View.of(source).slice(dimension, first, count)
        part = call.temporary(source.name, source.dtype, [view.shape[d] for d in output.dim_order])
        part = replace(part, dim_order=output.dim_order)
        copy_view(call, source, view, part)
        parts.append(part)
    _join(call, [part for part in parts if part.elements], dimension, output)


def pixel_unshuffle(call: Call) -> None:
    """(input, r, out): [n, c, h r, w r] becomes [n, c r r, h, w]."""
    factor, (n, c, h, w) = call.integer(1), _image(call)
    sn, sc, sh, sw = model_strides(call.tensor(0))
    shape = (n, c, factor, factor, h // factor, w // factor)
    _shuffle(call, shape, [sn, sc, sh, sw, sh * factor, sw * factor])


def pixel_shuffle(call: Call) -> None:
    """(input, r, out): [n, c r r, h, w] becomes [n, c, h r, w r]."""
    factor, (n, c, h, w) = call.integer(1), _image(call)
    sn, sc, sh, sw = model_strides(call.tensor(0))
    shape = (n, c // factor**2, h, factor, w, factor)
    _shuffle(call, shape, [sn, sc * factor**2, sh, sc * factor, sw, sc])


def _image(call: Call) -> Sequence[int]:
    """The shape of the image that is shuffled."""
    source, output = call.tensor(0), call.output
    if len(source.shape) != 4 or not call.is_contiguous(output):
        raise call.refuse(f"shuffling {source.model_shape} in memory order {output.dim_order}")
    return source.model_shape


def _shuffle(call: Call, shape: tuple[int, ...], strides: Sequence[int]) -> None:
    """The output is the input in six dimensions, of which it joins some."""
    tall = call.temporary("shuffle", call.output.dtype, shape)
    copy_strided(call, call.tensor(0), tall, strides)
    call.alias(call.output, tall)


def cat(call: Call) -> None:
    """(inputs, dim, out): operands joined along a dimension; empty ones are left out."""
    output = call.output
    parts = [part for part in call.tensors(0) if part.elements]
    _join(call, parts, axis(call, output, call.integer(1)), output)


def stack(call: Call) -> None:
    """(inputs, dim, out): operands joined along a new dimension."""
    output = call.output
    parts = call.tensors(0)
    dimension = axis(call, output, call.integer(1))
    shape = (*output.model_shape[:dimension], 1, *output.model_shape[dimension + 1 :])
    widened = []
    for part in parts:
        flat = contiguous(call, part)
        wide = call.temporary(part.name, part.dtype, shape)
        call.alias(wide, flat)
        widened.append(wide)
    _join(call, widened, dimension, output)


def _join(call: Call, parts: Sequence[Tensor], dimension: int, output: Tensor) -> None:
    """One step for each operand: rows of it at their place in rows of the output."""
    position = output.dim_order.index(dimension)
    inner = prod(output.shape[position + 1 :]) * output.dtype.size
    offset = 0
    for part in parts:
        aligned = ordered(call, converted(call, part, output.dtype), output.dim_order)
        size = part.model_shape[dimension] * inner
        params = ConcatParams(
            rows=prod(output.shape[:position]),
            bytes=size,
            stride=output.shape[position] * inner,
            offset=offset,
        )
        call.append(Concat(params, aligned.id, output.id))
        offset += size


SELECTORS: dict[str, Selector] = {
    "aten::view_copy.out": view_copy,
    "aten::squeeze_copy.dim_out": view_copy,
    "aten::squeeze_copy.dims_out": view_copy,
    "aten::unsqueeze_copy.out": view_copy,
    "aten::clone.out": copy,
    "aten::alias_copy.out": copy,
    "aten::detach_copy.out": copy,
    "aten::lift_fresh_copy.out": copy,
    "aten::_to_copy.out": copy,
    "dim_order_ops::_to_dim_order_copy.out": copy,
    "dim_order_ops::_clone_dim_order.out": copy,
    "aten::permute_copy.out": permute_copy,
    "aten::transpose_copy.int_out": transpose_copy,
    "aten::t_copy.out": t_copy,
    "aten::slice_copy.Tensor_out": slice_copy,
    "aten::narrow_copy.out": narrow_copy,
    "aten::select_copy.int_out": select_copy,
    "aten::split_copy.Tensor_out": split_copy,
    "aten::split_with_sizes_copy.out": split_copy,
    "aten::unbind_copy.int_out": unbind_copy,
    "aten::expand_copy.out": expand_copy,
    "aten::repeat.out": repeat,
    "aten::flip.out": flip,
    "aten::pixel_shuffle.out": pixel_shuffle,
    "aten::pixel_unshuffle.out": pixel_unshuffle,
    "aten::diagonal_copy.out": diagonal_copy,
    "aten::unfold_copy.out": unfold_copy,
    "aten::as_strided_copy.out": as_strided_copy,
    "aten::roll.out": roll,
    "aten::cat.out": cat,
    "aten::stack.out": stack,
}
