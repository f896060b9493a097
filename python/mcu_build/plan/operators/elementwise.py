"""Operators over pairs of elements: quantized add, mul and div, minimum and maximum."""

from dataclasses import dataclass

from mcu_build.ir.calls.pairs import (
    Add,
    AddOperand,
    AddParams,
    Div,
    DivParams,
    MinMaxParams,
    Mul,
    MulParams,
)
from mcu_build.ir.calls.struct import Broadcast, OutputEpilogue
from mcu_build.ir.tensor import DType, Tensor
from mcu_build.plan.operators.layout import broadcast, output_epilogue
from mcu_build.plan.select import Call, Selector

_SUFFIX = {DType.I8: "s8", DType.I16: "s16", DType.I32: "s32", DType.F32: "f32"}


@dataclass(frozen=True)
class _Operands:
    """Two operands and the output, of one type, and the iteration space over their elements."""

    first: Tensor
    second: Tensor
    output: Tensor
    space: Broadcast

    @property
    def ids(self) -> tuple[int, int, int]:
        return self.first.id, self.second.id, self.output.id


def quantized_add(call: Call) -> None:
    """(self, zero_point, multiplier, shift, other, the same, the same of the output, min, max, out)."""
    operands = _operands(call, 4, (DType.I8,))
    params = AddParams(
        space=operands.space,
        first=_operand(call, 1),
        second=_operand(call, 5),
        multiplier=call.integer(9),
        shift=call.integer(10),
        epilogue=output_epilogue(call, 8, 11, 12),
    )
    call.append(Add(params, *operands.ids))


def quantized_mul(call: Call) -> None:
    """(self, zero_point, other, zero_point, output zero_point, multiplier, shift, out)."""
    operands = _operands(call, 2, (DType.I8,))
    params = MulParams(
        space=operands.space,
        first_zero_point=call.integer(1),
        second_zero_point=call.integer(3),
        multiplier=call.integer(5),
        shift=call.integer(6),
        epilogue=OutputEpilogue(call.integer(4), -128, 127),
    )
    call.append(Mul(params, *operands.ids))


def quantized_div(call: Call) -> None:
    """(self, zero_point, other, zero_point, output zero_point, scale, out)."""
    operands = _operands(call, 2, (DType.I8, DType.I16))
    params = DivParams(
        space=operands.space,
        first_zero_point=call.integer(1),
        second_zero_point=call.integer(3),
        zero_point=call.integer(4),
        scale=call.real(5),
    )
    call.append(Div(params, *operands.ids, operands.output.dtype))


def _extreme(name: str) -> Selector:
    def extreme(call: Call) -> None:
        """(self, other, out)."""
        operands = _operands(call, 1, tuple(_SUFFIX))
        kernel = f"{name}_{_SUFFIX[operands.output.dtype]}"
        call.emit(
            kernel,
            "minmax",
            MinMaxParams(operands.space),
            [operands.first, operands.second],
            [operands.output],
        )

    return extreme


def _operand(call: Call, index: int) -> AddOperand:
    """Zero point, multiplier and shift from argument `index`."""
    return AddOperand(call.integer(index), call.integer(index + 1), call.integer(index + 2))


def _operands(call: Call, other: int, dtypes: tuple[DType, ...]) -> _Operands:
    """Argument 0 and argument `other`, both of one of `dtypes`, as the output is."""
    first, second, output = call.tensor(0), call.tensor(other), call.output
    dtype = _one_dtype(call, (first, second, output))
    if dtype not in dtypes:
        raise call.refuse(f"no kernel for {dtype.numpy_name}")
    return _Operands(first, second, output, broadcast(call, first, second, output))


def _one_dtype(call: Call, tensors: tuple[Tensor, ...]) -> DType:
    names = [tensor.dtype.numpy_name for tensor in tensors]
    if len(set(names)) > 1:
        raise call.refuse(f"operands and output of different types: {', '.join(names)}")
    return tensors[0].dtype


SELECTORS: dict[str, Selector] = {
    "cortex_m::quantized_add.out": quantized_add,
    "cortex_m::quantized_mul.out": quantized_mul,
    "cortex_m::quantized_div.out": quantized_div,
    "cortex_m::minimum.out": _extreme("minimum"),
    "cortex_m::maximum.out": _extreme("maximum"),
}
