"""The program of a step, proven against that of a whole recording."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mcu_build.plan.keep_state import initial_values
from mcu_build.stages.reference import outputs_by_step
from mcu_build.vectors import npz
from mcu_build.vectors.npz import Array

if TYPE_CHECKING:
    from mcu_build.ir.program import Program
    from mcu_build.lower.cortex_m import Lowered as LoweredProgram


def prove_stream(
    entry: Path,
    info: Mapping[str, Any],
    whole: tuple["LoweredProgram", Sequence[Any]],
    steps: tuple["LoweredProgram", Sequence[Any]],
    folder: Path,
) -> None:
    """McuError unless the program of a step, called for every step, gives what that of the recording does."""
    from mcu_build.ir import program
    from mcu_build.lower.upstream.quiet import quiet
    from mcu_build.oracle import stream_proof
    from mcu_build.vectors.pack import quantize

    with quiet():
        from mcu_build.lower.npu.tosa_reference import TosaGraph
        from mcu_build.oracle.reference import Evaluator

    def loaded(lowered: "LoweredProgram", file: Path) -> "Program":
        file.write_bytes(lowered.pte)
        return program.load(file)

    def rounded(lowered: "LoweredProgram", inputs: Sequence[Array]) -> list[Array]:
        pairs = zip(inputs, lowered.inputs, strict=False)
        return [quantize(array, boundary, "int8") if boundary else array for array, boundary in pairs]

    of_whole, of_step = loaded(whole[0], folder / "recording.pte"), loaded(steps[0], folder / "program.pte")
    recorded, stepped = (
        Evaluator(each, [TosaGraph(delegate.tosa) for delegate in delegates])
        for each, delegates in ((of_whole, whole[1]), (of_step, steps[1]))
    )
    state = npz.numbered(npz.load(entry / "state.npz"), "state")
    initial = initial_values(of_step, state, steps[0].inputs)
    tensors = [of_whole.values[id] for id in of_whole.inputs]
    sizes = [tensor.shape for tensor in tensors if isinstance(tensor, program.TensorValue)]

    def step(recording: Sequence[Sequence[Array]]) -> list[list[Array]]:
        inputs = [
            np.stack(column)
            for column in zip(*(rounded(steps[0], arrays) for arrays in recording), strict=True)
        ]
        return list(outputs_by_step(stepped, inputs, np.arange(len(recording)) == 0, initial))

    vectors = npz.load(entry / "vectors.npz")
    with quiet():
        stream_proof.prove(
            info["name"],
            lambda inputs: recorded.run(rounded(whole[0], inputs)),
            step,
            vectors,
            info["stream"],
            sizes,
        )
