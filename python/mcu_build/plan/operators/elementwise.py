"""Operators over pairs of elements: quantized add, mul and div, minimum and maximum."""

from collections.abc import Mapping

from mcu_build.ir.plan import DType, Params, Tensor
from mcu_build.ir.plan import Value as Member
from mcu_build.plan.operators.layout import broadcast, output_stage
from mcu_build.plan.select import Call, Selector

_SUFFIX = {DType.I8: "s8", DType.I16: "s16", DType.I32: "s32", DType.F32: "f32"}


def quantized_add(call: Call) -> None:
    """(self, zero_point, multiplier, shift, other, the same, the same of the output, min, max, out)."""
    members: dict[str, Member] = {
        "first": _operand(call, 1),
        "second": _operand(call, 5),
        "multiplier": call.integer(9),
        "shift": call.integer(10),
        "stage": output_stage(call, 8, 11, 12),
    }
    _emit(call, "add", "AddParams", 4, members, (DType.I8,))


def quantized_mul(call: Call) -> None:
    """(self, zero_point, other, zero_point, output zero_point, multiplier, shift, out)."""
    members: dict[str, Member] = {
        "first_zero_point": call.integer(1),
        "second_zero_point": call.integer(3),
        "multiplier": call.integer(5),
        "shift": call.integer(6),
        "stage": {"zero_point": call.integer(4), "activation_min": -128, "activation_max": 127},
    }
    _emit(call, "mul", "MulParams", 2, members, (DType.I8,))


def quantized_div(call: Call) -> None:
    """(self, zero_point, other, zero_point, output zero_point, scale, out)."""
    members: dict[str, Member] = {
        "first_zero_point": call.integer(1),
        "second_zero_point": call.integer(3),
        "zero_point": call.integer(4),
        "scale": call.real(5),
    }
    _emit(call, "div", "DivParams", 2, members, (DType.I8, DType.I16))


def minimum(call: Call) -> None:
    """(self, other, out)."""
    _emit(call, "minimum", "MinMaxParams", 1, {}, tuple(_SUFFIX), source="minmax")


def maximum(call: Call) -> None:
    """(self, other, out)."""
    _emit(call, "maximum", "MinMaxParams", 1, {}, tuple(_SUFFIX), source="minmax")


def _operand(call: Call, index: int) -> Member:
    """Zero point, multiplier and shift from argument `index`."""
    return {
        "zero_point": call.integer(index),
        "multiplier": call.integer(index + 1),
        "shift": call.integer(index + 2),
    }


def _emit(
    call: Call,
    kernel: str,
    params: str,
    other: int,
    members: Mapping[str, Member],
    dtypes: tuple[DType, ...],
    source: str = "",
) -> None:
    """Emit `kernel` over argument 0 and argument `other`, both of one of `dtypes`, as the output is."""
    first, second, output = call.tensor(0), call.tensor(other), call.output
    dtype = _one_dtype(call, (first, second, output))
    if dtype not in dtypes:
        raise call.refuse(f"no kernel for {dtype.numpy_name}")
    walk = {"walk": broadcast(call, first, second, output)}
    call.emit(
        f"{kernel}_{_SUFFIX[dtype]}",
        source or kernel,
        Params(params, {**walk, **members}),
        [first, second],
        [output],
    )


def _one_dtype(call: Call, tensors: tuple[Tensor, ...]) -> DType:
    names = [tensor.dtype.numpy_name for tensor in tensors]
    if len(set(names)) > 1:
        raise call.refuse(f"operands and output of different types: {', '.join(names)}")
    return tensors[0].dtype


SELECTORS: dict[str, Selector] = {
    "cortex_m::quantized_add.out": quantized_add,
    "cortex_m::quantized_mul.out": quantized_mul,
    "cortex_m::quantized_div.out": quantized_div,
    "cortex_m::minimum.out": minimum,
    "cortex_m::maximum.out": maximum,
}
