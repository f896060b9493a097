"""Operators on pairs of elements, with broadcasting: arithmetic, comparison, logic, choice.

A scalar operand is a constant of one element, so each operator has one path for tensors and scalars. Types
are promoted as PyTorch does: operands are converted first, and the kernel sees one type.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mcu_build.ir.calls.pairs import MinMaxParams
from mcu_build.ir.calls.portable import CompareParams, PairParams, PowParams, WhereParams
from mcu_build.ir.program import TensorValue
from mcu_build.ir.tensor import DType, Tensor
from mcu_build.plan.operators.layout import broadcast, expanded_strides, merge, padded
from mcu_build.plan.operators.portable_movement import SUFFIX, convert, converted
from mcu_build.plan.operators.portable_unary import INTEGER_LIMITS, emit_unary, flat_operand
from mcu_build.plan.select import Call, Selector

_INTEGERS = (DType.I8, DType.I16, DType.I32, DType.I64)
_ORDER = (*_INTEGERS, DType.F32)
_RANK = 6


def scalar(call: Call, value: float, dtype: DType) -> Tensor:
    """A constant of one element and no dimensions."""
    return call.constant("scalar", dtype, (), np.array(value).astype(dtype.numpy_name).tobytes())


def operand(call: Call, index: int, dtype: DType) -> Tensor:
    """Argument `index`, a tensor or a number, as `dtype`."""
    if isinstance(call.value(index), TensorValue):
        return converted(call, call.tensor(index), dtype)
    return scalar(call, call.real(index) if dtype is DType.F32 else call.integer(index), dtype)


def emit_pair(call: Call, name: str, first: Tensor, second: Tensor, output: Tensor) -> None:
    """One step of an arithmetic kernel for the type of the output."""
    dtype = output.dtype
    wraps = "_wrap" if dtype in _INTEGERS and name in ("add", "sub", "mul") else ""
    space = broadcast(call, first, second, output)
    kernel = f"{name}{wraps}_{SUFFIX[dtype]}"
    if name in ("minimum", "maximum"):
        call.emit(kernel, "minmax", MinMaxParams(space), [first, second], [output])
    else:
        call.emit(kernel, "arithmetic", PairParams(space), [first, second], [output])


_TYPES = {
    **dict.fromkeys(
        ("add", "sub", "mul", "div_trunc", "div_floor", "fmod", "remainder"), (*_INTEGERS, DType.F32)
    ),
    **dict.fromkeys(("minimum", "maximum"), (*_INTEGERS, DType.F32)),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), (*_INTEGERS, DType.BOOL)),
    **dict.fromkeys(("shift_left", "shift_right"), _INTEGERS),
    "pow": (*_INTEGERS, DType.F32),
    **dict.fromkeys(("div", "atan2"), (DType.F32,)),
}


def _pair(call: Call, name: str, first: int = 0, second: int = 1) -> None:
    """`name` over two arguments, in the type of the output."""
    output = call.output
    # int16 holds every uint8, and the low bits of its results are right.
    dtype = DType.I16 if output.dtype is DType.U8 else output.dtype
    if dtype not in _TYPES[name]:
        raise call.refuse(f"no kernel for {output.dtype.numpy_name}")
    result = output if dtype is output.dtype else like(call, output, dtype)
    emit_pair(call, name, operand(call, first, dtype), operand(call, second, dtype), result)
    if result is not output:
        convert(call, result, output)


def _plain(name: str) -> Selector:
    def plain(call: Call) -> None:
        """(input, other, out): float32 (div, atan2 ...), integers (bits, shifts), or either."""
        _pair(call, name)

    return plain


def mul(call: Call) -> None:
    """(input, other, out): float32, signed integers, bool (logical and)."""
    _pair(call, "bitwise_and" if call.output.dtype is DType.BOOL else "mul")


def _scaled(name: str, first: int = 0, second: int = 1) -> Selector:
    def scaled(call: Call) -> None:
        """(input, other, alpha, out): float32 or signed integers; with alpha times the second operand."""
        dtype = call.output.dtype
        if call.real(2) == 1:
            if name == "add" and dtype is DType.BOOL:
                _pair(call, "bitwise_or")
            else:
                _pair(call, name, first, second)
            return
        if dtype not in _TYPES[name]:
            raise call.refuse(f"no kernel for {dtype.numpy_name}")
        factor = operand(call, 2, dtype)
        multiplied = operand(call, second, dtype)
        product = like(call, multiplied)
        emit_pair(call, "mul", multiplied, factor, product)
        emit_pair(call, name, operand(call, first, dtype), product, call.output)

    return scaled


def like(call: Call, tensor: Tensor, dtype: DType | None = None) -> Tensor:
    """A temporary with the shape and the memory layout of `tensor`."""
    made = call.temporary(tensor.name, dtype or tensor.dtype, tensor.shape)
    return replace(made, dim_order=tensor.dim_order)


def div_mode(call: Call) -> None:
    """(input, other, rounding_mode, out): float32; rounded down or towards 0 also signed integers."""
    mode = call.value(2)
    if mode not in (None, "trunc", "floor"):
        raise call.refuse(f"rounding_mode={mode!r}")
    _pair(call, "div" if mode is None else f"div_{mode}")


def _comparison(name: str) -> Selector:
    def compare(call: Call) -> None:
        """(input, other, out): bool, of any types."""
        output = call.output
        if output.dtype is not DType.BOOL:
            raise call.refuse(f"no kernel for a result of type {output.dtype.numpy_name}")
        dtype = _compared_type(call)
        first, second = operand(call, 0, dtype), operand(call, 1, dtype)
        params = CompareParams(space=broadcast(call, first, second, output))
        call.emit(f"{name}_{SUFFIX[dtype]}", "compare", params, [first, second], [output])

    return compare


def _compared_type(call: Call) -> DType:
    """The type in which every value of both operands is what it is."""
    return max(_smallest_type(call, 0), _smallest_type(call, 1), key=_ORDER.index)


def _smallest_type(call: Call, index: int) -> DType:
    """The smallest compared type that holds argument `index`, a tensor or a number."""
    value = call.value(index)
    if isinstance(value, TensorValue):
        narrow = {DType.BOOL: DType.I8, DType.U8: DType.I16}
        return narrow.get(value.dtype, value.dtype)
    if isinstance(value, float):
        return DType.F32
    number = call.integer(index)
    return next(t for t in _INTEGERS if INTEGER_LIMITS[t][0] <= number <= INTEGER_LIMITS[t][1])


def _logical(name: str) -> Selector:
    def logical(call: Call) -> None:
        """(input, other, out): bool, of whether operands of any types are not 0."""
        output = call.output
        if output.dtype is not DType.BOOL:
            raise call.refuse(f"no kernel for a result of type {output.dtype.numpy_name}")
        first, second = operand(call, 0, DType.BOOL), operand(call, 1, DType.BOOL)
        emit_pair(call, f"bitwise_{name}", first, second, output)

    return logical


def where(call: Call) -> None:
    """(condition, input, other, out): any type."""
    dtype = call.output.dtype
    emit_where(call, operand(call, 0, DType.BOOL), operand(call, 1, dtype), operand(call, 2, dtype))


def masked_fill(call: Call) -> None:
    """(input, mask, value, out): any type; the value where the mask is set."""
    dtype = call.output.dtype
    emit_where(call, operand(call, 1, DType.BOOL), operand(call, 2, dtype), operand(call, 0, dtype))


def emit_where(call: Call, condition: Tensor, first: Tensor, second: Tensor) -> None:
    """One step that chooses between two operands of the output's type."""
    output = call.output
    reads: Sequence[Tensor] = (condition, first, second)
    merged = merge(output.shape, [expanded_strides(call, tensor, output) for tensor in reads])
    if len(merged) > _RANK:
        raise call.refuse(f"broadcasting over {len(merged)} dimensions, more than {_RANK}")
    params = WhereParams(
        shape=padded((row[0] for row in merged), 1),
        condition=padded((row[1] for row in merged), 0),
        first=padded((row[2] for row in merged), 0),
        second=padded((row[3] for row in merged), 0),
    )
    call.emit(f"where_{SUFFIX[output.dtype]}", "where", params, reads, [output], moves=True)


def clamp_tensor(call: Call) -> None:
    """(input, min, max, out): bounds that are tensors, of float32 or integers."""
    output = call.output
    bounds = [
        (index, name) for index, name in ((1, "maximum"), (2, "minimum")) if call.value(index) is not None
    ]
    if not bounds or output.dtype not in _TYPES["minimum"]:
        raise call.refuse(f"no kernel for {output.dtype.numpy_name} and {len(bounds)} bounds")
    value = operand(call, 0, output.dtype)
    for index, name in bounds:
        target = output if index == bounds[-1][0] else like(call, output)
        emit_pair(call, name, value, operand(call, index, output.dtype), target)
        value = target


_POWERS = {2.0: "square", 0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal"}


def pow_scalar(call: Call) -> None:
    """(input, exponent, out): float32 or integers."""
    exponent, output = call.real(1), call.output
    if output.dtype is not DType.F32:
        _pair(call, "pow")
        return
    source = flat_operand(call, converted(call, call.tensor(0), DType.F32), output)
    if exponent in _POWERS:
        emit_unary(call, _POWERS[exponent], source, output)
        return
    params = PowParams(count=source.elements, exponent=exponent)
    call.emit("pow_scalar_f32", "activation_f32", params, [source], [output])


_BINARY = {
    "div": ("div.out", "div.Scalar_out"),
    "minimum": ("minimum.out",),
    "maximum": ("maximum.out",),
    "atan2": ("atan2.out",),
    "fmod": ("fmod.Tensor_out", "fmod.Scalar_out"),
    "remainder": ("remainder.Tensor_out", "remainder.Scalar_out"),
    "div_floor": ("floor_divide.out",),
    "pow": ("pow.Tensor_Tensor_out", "pow.Scalar_out"),
    **{
        f"shift_{way}": (
            f"__{way[0]}shift__.Tensor_out",
            f"__{way[0]}shift__.Scalar_out",
            f"bitwise_{way}_shift.Tensor_out",
            f"bitwise_{way}_shift.Tensor_Scalar_out",
        )
        for way in ("left", "right")
    },
    **{
        f"bitwise_{name}": (f"bitwise_{name}.Tensor_out", f"bitwise_{name}.Scalar_out")
        for name in ("and", "or", "xor")
    },
}

SELECTORS: dict[str, Selector] = {
    **{f"aten::{operator}": _plain(name) for name, operators in _BINARY.items() for operator in operators},
    **{
        f"aten::{name}.{overload}": _comparison(name)
        for name in ("eq", "ne", "lt", "le", "gt", "ge")
        for overload in ("Tensor_out", "Scalar_out")
    },
    **{f"aten::logical_{name}.out": _logical(name) for name in ("and", "or", "xor")},
    "aten::add.out": _scaled("add"),
    "aten::add.Scalar_out": _scaled("add"),
    "aten::sub.out": _scaled("sub"),
    "aten::sub.Scalar_out": _scaled("sub"),
    "aten::rsub.Scalar_out": _scaled("sub", 1, 0),
    "aten::mul.out": mul,
    "aten::mul.Scalar_out": mul,
    "aten::div.out_mode": div_mode,
    "aten::div.Scalar_mode_out": div_mode,
    "aten::where.self_out": where,
    "aten::masked_fill.Scalar_out": masked_fill,
    "aten::clamp.Tensor_out": clamp_tensor,
    "aten::pow.Tensor_Scalar_out": pow_scalar,
}
