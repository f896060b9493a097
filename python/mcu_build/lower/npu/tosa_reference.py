"""Run a TOSA graph in Arm's reference model: the oracle for what an NPU gives."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mcu_build.errors import McuError
from mcu_build.process import silenced

Array = npt.NDArray[Any]


class TosaGraph:
    """A TOSA flatbuffer, ready to run."""

    def __init__(self, flatbuffer: bytes) -> None:
        from tosa import TosaGraph as Schema

        self._flatbuffer = flatbuffer
        block = Schema.TosaGraph.GetRootAs(flatbuffer, 0).Regions(0).Blocks(0)
        tensors = {block.Tensors(i).Name(): block.Tensors(i) for i in range(block.TensorsLength())}
        names = [block.Inputs(i) for i in range(block.InputsLength())]
        self._shapes = [tuple(int(n) for n in tensors[name].ShapeAsNumpy()) for name in names]

    @property
    def input_count(self) -> int:
        """How many inputs it takes."""
        return len(self._shapes)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs for `inputs`, whose elements are in memory order whatever their shape."""
        import tosa_reference_model

        shaped = [array.reshape(shape) for array, shape in zip(inputs, self._shapes, strict=True)]
        with silenced():
            outputs, status = tosa_reference_model.run(
                self._flatbuffer, shaped, initialize_variable_tensor_from_numpy=True
            )
        if status != tosa_reference_model.GraphStatus.TOSA_VALID:
            raise McuError(
                f"the TOSA reference model refuses a delegate: {status}", "Please report the model."
            )
        return [np.array(output) for output in outputs]
