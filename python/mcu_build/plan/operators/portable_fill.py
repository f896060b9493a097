"""Operators that make tensors from nothing, and padding.

What does not depend on an input is a constant of the image: nothing is executed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_build.ir.calls.moves import Pad, PadParams
from mcu_build.ir.tensor import DType, Tensor
from mcu_build.plan.operators.layout import model_strides, padded
from mcu_build.plan.select import Call, Selector

_PAD_RANK = 4


def _constant(call: Call, values: NDArray[Any]) -> None:
    """Let the output be `values`, which have the model's shape."""
    output = call.output
    memory = values.astype(output.dtype.numpy_name).transpose(output.dim_order)
    call.alias(output, call.constant(output.name, output.dtype, output.shape, memory.tobytes()))


def _filled(index: int) -> Selector:
    def filled(call: Call) -> None:
        """(size or tensor, value, ..., out)."""
        _constant(call, np.full(call.output.model_shape, _number(call, index)))

    return filled


def _number(call: Call, index: int) -> int | float:
    """Argument `index` as it is: an int64 need not be exact as a float."""
    value = call.value(index)
    return value if isinstance(value, int) else call.real(index)


def _all(value: int) -> Selector:
    def filled(call: Call) -> None:
        """(size, out)."""
        _constant(call, np.full(call.output.model_shape, value))

    return filled


def arange(call: Call) -> None:
    """(end, out)."""
    _constant(call, np.arange(call.output.elements))


def arange_start(call: Call) -> None:
    """(start, end, step, out)."""
    positions = np.arange(call.output.elements)
    _constant(call, call.real(0) + positions * call.real(2))


@dataclass(frozen=True)
class _Row:
    """One dimension of memory: sizes of output and input, the input's stride, entries added before."""

    size: int
    inside: int
    stride: int
    before: int

    @property
    def is_padded(self) -> bool:
        return self.size != self.inside or self.before != 0


def constant_pad(call: Call) -> None:
    """(input, pad, value, out): entries added before and after, last dimension first; negative cuts."""
    source, output = call.tensor(0), call.output
    if source.dtype is not output.dtype or source.dtype.size > 4:
        raise call.refuse(f"no kernel for {source.dtype.numpy_name}")
    rows = _pad_rows(call, source, output)
    if len(rows) > _PAD_RANK:
        raise call.refuse(f"padding over {len(rows)} separate dimensions")
    params = PadParams(
        shape=padded((row.size for row in rows), 1, _PAD_RANK),
        inside=padded((row.inside for row in rows), 1, _PAD_RANK),
        strides=padded((row.stride for row in rows), 0, _PAD_RANK),
        before=padded((row.before for row in rows), 0, _PAD_RANK),
        value=_bits(source.dtype, call.real(2)),
    )
    call.append(Pad(params, source.id, output.id, 8 * source.dtype.size))


def _pad_rows(call: Call, source: Tensor, output: Tensor) -> list[_Row]:
    """The dimensions in the order of the output's memory, those joined that are padded nowhere."""
    pairs = _pairs(call, source)
    grown = tuple(size + sum(pair) for size, pair in zip(source.model_shape, pairs, strict=True))
    if grown != output.model_shape:
        raise call.refuse(f"padding {source.model_shape} gives {grown}, not {output.model_shape}")
    strides = model_strides(source)
    rows: list[_Row] = []
    for d in output.dim_order:
        row = _Row(output.model_shape[d], source.model_shape[d], strides[d], pairs[d][0])
        if row.size == 1 and not row.is_padded:
            continue
        last = rows[-1] if rows else row
        if rows and not (row.is_padded or last.is_padded) and last.stride == row.size * row.stride:
            rows[-1] = _Row(last.size * row.size, last.size * row.size, row.stride, 0)
        else:
            rows.append(row)
    return rows


def _pairs(call: Call, source: Tensor) -> Sequence[tuple[int, int]]:
    """Entries before and after, for each dimension of the model."""
    pads = call.integers(1)
    pairs = list(zip(pads[::2], pads[1::2], strict=True))[::-1]
    return [(0, 0)] * (len(source.shape) - len(pairs)) + pairs


def _bits(dtype: DType, value: float) -> int:
    """The element `value` of `dtype` as the integer that has its bits."""
    return int(np.float32(value).view(np.int32)) if dtype is DType.F32 else int(value)


def empty(call: Call) -> None:
    """(size, ..., out): zeros, where PyTorch leaves what memory held."""
    _constant(call, np.zeros(call.output.model_shape))


SELECTORS: dict[str, Selector] = {
    "aten::full.out": _filled(1),
    "aten::full_like.out": _filled(1),
    "aten::fill.Scalar_out": _filled(1),
    "aten::scalar_tensor.out": _filled(0),
    "aten::zeros.out": _all(0),
    "aten::ones.out": _all(1),
    "aten::zeros_like.out": _all(0),
    "aten::ones_like.out": _all(1),
    "aten::empty.out": empty,
    "aten::empty_like.out": empty,
    "aten::empty_permuted.out": empty,
    "aten::empty_strided.out": empty,
    "dim_order_ops::_empty_dim_order.out": empty,
    "aten::arange.out": arange,
    "aten::arange.start_out": arange_start,
    "aten::constant_pad_nd.out": constant_pad,
}
