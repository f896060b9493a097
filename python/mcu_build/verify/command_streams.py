"""Do the command streams of a program compute what its TOSA means? The NPU's model against Arm's.

No core takes part: the program's other operators are executorch's Python definitions. So this needs no
simulator of the board.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mcu_build.ir import program
from mcu_build.lower.npu.tosa_reference import TosaGraph
from mcu_build.npu import simulate
from mcu_build.npu.config import Config, find
from mcu_build.npu.payload import Payload, parse
from mcu_build.oracle.reference import Evaluator
from mcu_build.stages.lowered import Lowered
from mcu_build.vectors import npz
from mcu_build.vectors.compare import Mismatch

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Exactness:
    """One delegate over all vectors: elements of its outputs, how many differ from TOSA's, and the first one.

    The index of `first` is that of an element in memory.
    """

    npu: str
    elements: int
    mismatches: int
    varies: bool
    first: Mismatch | None = None

    @property
    def holds(self) -> bool:
        """Whether every element is right, and could have been seen not to be."""
        return self.varies and not self.mismatches


def run_streams(lowered: Lowered, vectors: Path) -> tuple[Exactness, ...]:
    """Run each delegate on what the program gives it for each of `vectors`; compare all outputs exactly.

    McuError where the NPU reports an error.
    """
    assert lowered.npu is not None
    loaded = program.load(lowered.program, lowered.method)
    config = find(lowered.npu.name)
    twins = [
        _Twin(
            TosaGraph(made.tosa.read_bytes()),
            parse(delegate.payload, delegate.named_data),
            config,
            made.fast_scratch,
        )
        for made, delegate in zip(lowered.delegates, loaded.delegates, strict=True)
    ]
    evaluator = Evaluator(loaded, twins)
    inputs = npz.numbered(npz.load(vectors), "input")
    for index in range(len(inputs[0])):
        for twin in twins:
            twin.vector = index
        evaluator.run([array[index] for array in inputs])
    return tuple(twin.exactness() for twin in twins)


@dataclass
class _Twin:
    """A delegate's TOSA that also runs its command stream, and counts where the two differ."""

    graph: TosaGraph
    payload: Payload
    config: Config
    fast_scratch: int
    elements: int = 0
    mismatches: int = 0
    vector: int = 0
    first: Mismatch | None = None
    seen: set[bytes] = field(default_factory=set)

    @property
    def input_count(self) -> int:
        return self.graph.input_count

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs of TOSA."""
        expected = self.graph.run(inputs)
        outputs = simulate.run(self.payload, self.config, inputs, self.fast_scratch)
        for output, (values, data) in enumerate(zip(expected, outputs, strict=True)):
            self.elements += values.size
            wanted, got = values.ravel(), np.frombuffer(data, values.dtype)
            wrong = np.flatnonzero(got != wanted)
            self.mismatches += len(wrong)
            if self.first is None and len(wrong):
                at = int(wrong[0])
                self.first = Mismatch(self.vector, output, (at,), float(wanted[at]), float(got[at]))
        self.seen.add(b"".join(values.tobytes() for values in expected))
        return expected

    def exactness(self) -> Exactness:
        """What was found."""
        return Exactness(self.config.name, self.elements, self.mismatches, len(self.seen) > 1, self.first)
