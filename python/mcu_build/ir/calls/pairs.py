"""Operations on pairs of int8 elements with broadcasting: add, mul, div."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from mcu_build.ir.arithmetic import requantize
from mcu_build.ir.calls.call import Call, Read, Written
from mcu_build.ir.calls.rescaled import rescaled
from mcu_build.ir.calls.rows import height_of, same_rows, share_of_rows
from mcu_build.ir.calls.struct import Broadcast, OutputEpilogue, Struct
from mcu_build.ir.channels import Coupling, Cut, Range, Values, by_channel, channels_of
from mcu_build.ir.tensor import DType, Tensor

HEADROOM = 20  # of add.h
_FARTHEST = 62  # shift to the right


@dataclass(frozen=True)
class AddOperand(Struct):
    """Parameters of add.h."""

    zero_point: int
    multiplier: int
    shift: int


@dataclass(frozen=True)
class AddParams(Struct):
    """Parameters of add.h."""

    space: Broadcast
    first: AddOperand
    second: AddOperand
    multiplier: int
    shift: int
    epilogue: OutputEpilogue


@dataclass(frozen=True)
class MulParams(Struct):
    """Parameters of mul.h."""

    space: Broadcast
    first_zero_point: int
    second_zero_point: int
    multiplier: int
    shift: int
    epilogue: OutputEpilogue


@dataclass(frozen=True)
class DivParams(Struct):
    """Parameters of div.h."""

    space: Broadcast
    first_zero_point: int
    second_zero_point: int
    zero_point: int
    scale: float


@dataclass(frozen=True)
class MinMaxParams(Struct):
    """Parameters of minmax.h."""

    space: Broadcast


@dataclass(frozen=True)
class Pairs(Call):
    """What all of them have: two operands, each read element by element where it is not repeated."""

    params: AddParams | MulParams | DivParams
    first: Read
    second: Read
    output: Written

    def inplace_distances(self, tensors: Mapping[int, Tensor]) -> Mapping[int, int]:
        """An operand that is repeated is read to the end: it may be neither overwritten nor be in place."""
        space = self.params.space
        operands = ((self.first, space.first), (self.second, space.second))
        return {id: 0 for id, strides in operands if space.is_dense(strides)}

    def needed_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Mapping[int, range] | None:
        """Row by row of an operand, repeated within a row or not; none of one that is the same for each."""
        space, output = self.params.space, tensors[self.output]
        axis = space.outermost
        height = height_of(output)
        if not height or space.shape[axis] % height:
            return None
        rows_of: dict[int, range] = {}
        for id, strides in ((self.first, space.first), (self.second, space.second)):
            whole = space.shape[axis] * strides[axis]
            if not space.is_dense(strides) and not whole:
                continue
            needed = same_rows(tensors, id, self.output, rows, whole)
            if needed is None:
                return None
            rows_of |= needed
        return rows_of

    def of_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Self:
        """A shorter iteration space."""
        space = self.params.space
        axis = space.outermost
        share = share_of_rows(space.shape[axis], tensors[self.output], rows)
        shape = (*space.shape[:axis], share, *space.shape[axis + 1 :])
        return replace(self, params=replace(self.params, space=replace(space, shape=shape)))


@dataclass(frozen=True)
class _ByChannel(Pairs):
    """Those that channels can be left out of."""

    params: AddParams | MulParams

    def coupled_channels(self, tensors: Mapping[int, Tensor]) -> list[Coupling] | None:
        """Both operands with the output, of one line of elements."""
        channels = channels_of(tensors[self.output])
        operands = (self.first, self.second)
        if not self.params.space.is_line or any(channels_of(tensors[id]) != channels for id in operands):
            return None
        return [by_channel(id, self.output, channels) for id in operands]

    def without_channels(self, cut: Cut) -> Self:
        """A shorter line."""
        space = self.params.space
        shape = (*space.shape[:-1], cut.share(self.output, space.shape[-1]))
        return replace(self, params=replace(self.params, space=replace(space, shape=shape)))


@dataclass(frozen=True)
class Add(_ByChannel):
    """The sum of two operands, each requantized."""

    KERNEL, SOURCE = "add_s8", "add"

    params: AddParams

    def value_range(self, values: Values) -> Range | None:
        """Of the sums of both ends."""
        if not self.params.space.is_line:
            return None
        first = _fixed(values, self.first, self.params.first)
        second = _fixed(values, self.second, self.params.second)
        if first is None or second is None or len(first.low) != len(second.low):
            return None
        sums = Range(first.low + second.low, first.high + second.high)
        scale = (np.full(1, self.params.multiplier), np.full(1, self.params.shift))
        return rescaled(sums, *scale, self.params.epilogue)


def _fixed(values: Values, id: int, operand: AddOperand) -> Range | None:
    """An operand of add.h, rescaled."""
    if operand.multiplier < 0 or not -_FARTHEST <= operand.shift <= 0:
        return None
    scale = (np.full(1, operand.multiplier), np.full(1, operand.shift))
    return values.of(id).mapped(lambda end: requantize((end - operand.zero_point) << HEADROOM, *scale))


@dataclass(frozen=True)
class Mul(_ByChannel):
    """The product of two operands."""

    KERNEL, SOURCE = "mul_s8", "mul"

    params: MulParams


@dataclass(frozen=True)
class Div(Pairs):
    """The quotient of two operands, of int8 or int16."""

    SOURCE = "div"

    params: DivParams
    dtype: DType

    @property
    def kernel(self) -> str:
        """One for each type."""
        return f"div_s{8 * self.dtype.size}"
