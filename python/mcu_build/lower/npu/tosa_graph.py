"""Parts of a TOSA flatbuffer: which operators lead to a tensor, and the same graph with other outputs."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# Least and greatest value that is drawn, by type of a tensor. Others are indices, or sums of some range.
_RANGES = {"BOOL": (0, 1), "INT8": (-128, 127), "INT16": (-(1 << 15), (1 << 15) - 1)}
# Where a block's table has its vectors (tosa.fbs), as flatbuffers count.
_OUTPUTS = 12


@dataclass(frozen=True)
class Graph:
    """A flatbuffer of one block."""

    flatbuffer: bytes

    @cached_property
    def _block(self) -> Any:
        from tosa.TosaGraph import TosaGraph

        return TosaGraph.GetRootAs(self.flatbuffer, 0).Regions(0).Blocks(0)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        block = self._block
        return tuple(block.Outputs(i).decode() for i in range(block.OutputsLength()))

    @cached_property
    def producers(self) -> Mapping[str, tuple[str, ...]]:
        """Of each tensor that an operator computes, in the operators' order: the computed ones it reads."""
        from tosa.Op import Op

        constants = {Op.CONST, Op.CONST_SHAPE}
        producers: dict[str, tuple[str, ...]] = {}
        for operator in (self._block.Operators(i) for i in range(self._block.OperatorsLength())):
            if operator.Op() in constants:
                continue
            read = [operator.Inputs(i).decode() for i in range(operator.InputsLength())]
            for index in range(operator.OutputsLength()):
                producers[operator.Outputs(index).decode()] = tuple(
                    name for name in read if name in producers
                )
        return producers

    def leading_to(self, tensor: str) -> list[str]:
        """The computed tensors that `tensor` depends on, it among them, in the operators' order."""
        waiting, needed = [tensor], set[str]()
        while waiting:
            name = waiting.pop()
            if name not in needed:
                needed.add(name)
                waiting += self.producers.get(name, ())
        return [name for name in self.producers if name in needed]

    def ending_in(self, tensors: Sequence[str]) -> bytes:
        """The flatbuffer with `tensors` for outputs."""
        data = bytearray(self.flatbuffer)
        table = self._block._tab
        field = table.Pos + table.Offset(_OUTPUTS)
        # Offsets point forward: a new vector goes behind all else.
        place = _append(data, struct.pack("<I", len(tensors)) + bytes(4 * len(tensors)))
        struct.pack_into("<I", data, field, place - field)
        for index, tensor in enumerate(tensors):
            name = tensor.encode()
            text = _append(data, struct.pack("<I", len(name)) + name + b"\0")
            slot = place + 4 + 4 * index
            struct.pack_into("<I", data, slot, text - slot)
        return bytes(data)

    def draw(self, seed: int) -> list[Array] | None:
        """Inputs over the whole range of their types. None where one has a type whose range says nothing."""
        from tosa.DType import DType

        kinds = {number: name for name, number in vars(DType).items() if isinstance(number, int)}
        tensors = {
            tensor.Name(): tensor for tensor in map(self._block.Tensors, range(self._block.TensorsLength()))
        }
        dice = np.random.default_rng(seed)
        drawn = []
        for index in range(self._block.InputsLength()):
            tensor = tensors[self._block.Inputs(index)]
            kind = kinds[tensor.Type()]
            if kind not in _RANGES:
                return None
            shape = tuple(int(size) for size in tensor.ShapeAsNumpy()) if tensor.ShapeLength() else ()
            drawn.append(dice.integers(*_RANGES[kind], shape, endpoint=True).astype(kind.lower()))
        return drawn


def _append(data: bytearray, part: bytes) -> int:
    """Where `part` lies: behind `data`, at a multiple of 4."""
    data += bytes(-len(data) % 4)
    data += part
    return len(data) - len(part)
