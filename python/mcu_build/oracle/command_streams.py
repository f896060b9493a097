"""Delegates of a program that came without TOSA: their command streams in our model of the NPU.

What runs in a simulated board is the same model, so a comparison tells of the core: its operators, the
driver, where data lie and when. It tells nothing of what the NPU computes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mcu_build.ir.program import Delegate, DelegateCall, Program, TensorValue
from mcu_build.lower.npu.tosa_reference import TosaGraph
from mcu_build.npu import simulate
from mcu_build.npu.config import of_register
from mcu_build.npu.payload import parse

Array = npt.NDArray[Any]


class CommandStream:
    """A delegate, ready to run; `types` are those of its outputs' elements, as NumPy names them."""

    def __init__(self, delegate: Delegate, types: Sequence[str]) -> None:
        self._payload = parse(delegate.payload, delegate.named_data)
        self._config = of_register(self._payload.config)
        self._types = types

    @property
    def input_count(self) -> int:
        """How many inputs it takes."""
        return len(self._payload.inputs)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs for `inputs`, whose elements are in memory order. McuError: the NPU's own."""
        outputs = simulate.run(self._payload, self._config, inputs)
        return [np.frombuffer(data, type) for data, type in zip(outputs, self._types, strict=True)]


def delegates_of(program: Program, tosa: Sequence[Path]) -> Sequence[CommandStream | TosaGraph]:
    """What stands in for the delegates of a program: their TOSA where there are files with it."""
    return [TosaGraph(file.read_bytes()) for file in tosa] or _command_streams(program)


def _command_streams(program: Program) -> list[CommandStream]:
    made = {}
    for call in program.instructions:
        if isinstance(call, DelegateCall):
            delegate = program.delegates[call.delegate]
            values = [program.values[id] for id in call.arguments]
            types = [value.dtype.numpy_name for value in values if isinstance(value, TensorValue)]
            count = len(parse(delegate.payload, delegate.named_data).outputs)
            made[call.delegate] = CommandStream(delegate, types[len(types) - count :])
    return [made[index] for index in sorted(made)]
